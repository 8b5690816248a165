import { strideOf } from '../../kernels/panel.js';
import type { CodedLevels } from '../fit/arguments.js';
import { fitDirect } from '../fit/fit.js';
import type { Grid } from '../grid.js';
import { groupsOf } from '../tersor/rows.js';
import type { WordFormat, WordGrid, WordPart } from './layout.js';
import { packWeight, unpackWeight } from './words.js';

/** What a name such as `int4`, `int3-g64` or `int8-channel-asym` says; undefined for other bits and groups, and other names. */
export function integerName(
  name: string,
  bits: readonly number[],
  groupSizes: readonly number[],
): Pick<WordFormat, 'name' | 'bits' | 'groupSize' | 'affine'> | undefined {
  const match = /^int(\d)(?:-(?:g(\d+)|(channel)))?(-asym)?$/.exec(name);
  if (!match) return undefined;
  const [, width, group, channel, asymmetric] = match;
  const groupSize = channel ? Number.POSITIVE_INFINITY : Number(group ?? usualGroupSize);
  const known = bits.includes(Number(width)) && (channel !== undefined || groupSizes.includes(groupSize));
  return known ? { name, bits: Number(width), groupSize, affine: asymmetric !== undefined } : undefined;
}
/** What a bare `int4` means. */
const usualGroupSize = 32;

export const isWordGrid = (grid: Grid): grid is WordGrid => 'words' in grid;

/** Words that so many codes take. */
export const wordsOf = (count: number, bits: number, dense: boolean): number =>
  Math.ceil(dense ? (count * bits) / 32 : count / Math.floor(32 / bits));

/** Groups of a row; sizes are asked for before it is known whether groups divide rows. */
export const groupsIn = ({ groupSize }: WordFormat, cols: number): number =>
  Number.isFinite(groupSize) ? Math.ceil(cols / groupSize) : 1;

/** The parts that a weight on the grid is stored as. */
export const partsOf = ({ words }: WordGrid, rows: number, cols: number): readonly WordPart[] =>
  words.layout.list(words, rows, cols);

/**
 * The grid of a format: `value = scale · level`, with a half scale per group, or `scale · (level − zero)` with an integer
 * zero point from 1 to the highest level. `pack` gives the bytes of all parts one after another; rows share words of
 * zero points, so that a weight is packed as a whole.
 */
export function wordGrid(format: WordFormat): WordGrid {
  const { name, layout, bits, groupSize, affine } = format;
  const levels: CodedLevels = affine
    ? { kind: 'uniform', min: 0, max: 2 ** bits - 1 }
    : { kind: 'uniform', min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 };
  const zeroPoint = affine ? { zeroPoint: levels.max, lowestZeroPoint: 1 } : {};
  const scale = { kind: 'direct', type: 'f16', offset: affine, ...zeroPoint } as const;
  const grouped = Number.isFinite(groupSize);
  // What fills whole words.
  const unit = layout.dense ? 32 / greatestCommonDivisor(32, bits) : 1;
  const grid: WordGrid = {
    name,
    words: format,
    variant: layout.variant,
    summary: `${bits}-bit integers, a half scale ${affine ? 'and integer zero point ' : ''}per ${grouped ? groupSize : 'channel'}`,
    levels,
    blockSize: grouped ? leastCommonMultiple(groupSize, unit) : unit,
    blockBytes: ((grouped ? leastCommonMultiple(groupSize, unit) : unit) * bits) / 8,
    groupSize,
    scale,
    runtimes: ['vllm'],
    whole: true,
    rowMultiple: unit,
    linearOnly: true,
    bytes: (rows, cols) => layout.list(format, rows, cols).reduce((sum, part) => sum + part.bytes, 0),
    allocate(arena, rows, cols) {
      const length = groupsOf(format, cols) * strideOf(rows);
      return { scale: arena.f32(length), offset: arena.f32(length).fill(affine ? 0 : -0), stored: {} };
    },
    fit(kernels, weight, importance, parameters, from) {
      const blockSize = Math.min(groupSize, weight.cols);
      const about = { levels, groupSize, blockSize, scale };
      return fitDirect(kernels, about, weight, importance, parameters, from);
    },
    pack: (kernels, encoded) => packWeight(kernels, format, encoded),
    unpack: (kernels, arena, bytes, rows, cols) => unpackWeight(kernels, arena, grid, bytes, { rows, cols }),
  };
  return grid;
}

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);
const leastCommonMultiple = (a: number, b: number): number => (a / greatestCommonDivisor(a, b)) * b;

/** The bytes of integers. */
export const int32Bytes = (values: ArrayLike<number>): Uint8Array =>
  new Uint8Array(Int32Array.from(values).buffer);
