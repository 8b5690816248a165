import type { Arena, Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import type { CodedLevels } from '../fit/arguments.js';
import { fitDirect } from '../fit/fit.js';
import { dequantize } from '../gguf/dequantize.js';
import type { Encoded, Grid } from '../grid.js';
import { groupsOf, requireBytes } from '../tersor/rows.js';

/** One of the tensors that a weight is stored as. */
export interface WordPart {
  /** Its name is the layer's with this behind it. */
  readonly suffix: string;
  /** Safetensors' own. */
  readonly dtype: 'I32' | 'I64' | 'F16' | 'BF16' | 'F32';
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** Steps between neighbours in a stored matrix, in elements. */
export interface Pitches {
  /** From one code's word, or from one group, to the next of the same row. */
  readonly along: number;
  readonly row: number;
}

/** Where codes, scales and zero points of a weight lie among its parts. */
export interface WordLayout {
  /** What the format is called. */
  readonly variant: 'gptq' | 'compressed-tensors';
  /** Whether codes go on in the next word where one ends; if not, a word has ⌊32 / bits⌋ of them. */
  readonly dense: boolean;
  /** Subtracted from zero points before they are stored. */
  readonly zeroShift: number;
  /** Names of the parts by what they hold; what is not named here is constant. */
  readonly parts: { readonly codes: string; readonly scales: string; readonly zeros: string };
  /** The parts of a weight, in the order of `Grid.pack`. */
  list(format: WordFormat, rows: number, cols: number): readonly WordPart[];
  /** Of codes along a row. */
  codePitches(format: WordFormat, rows: number, cols: number): Pitches;
  /** Of scales. */
  scalePitches(rows: number, groups: number): Pitches;
  /** Of zero points, which are packed along the rows of the weight: `along` is from word to word, `row` from group to group. */
  zeroPitches(format: WordFormat, rows: number, groups: number): Pitches;
  /** What a constant part holds. */
  constant(part: WordPart, format: WordFormat, rows: number, cols: number): Uint8Array;
}

/** Integers of a weight in words. */
export interface WordFormat {
  readonly name: string;
  readonly layout: WordLayout;
  readonly bits: number;
  /** Columns that share a scale; `Infinity` for a row. */
  readonly groupSize: number;
  /** Whether zero points are stored; levels are then 0 … 2^b − 1, else −2^(b−1) … 2^(b−1) − 1. */
  readonly affine: boolean;
  readonly scaleType: 'F16' | 'BF16' | 'F32';
  /** Group of every column, where columns do not belong to groups in their order. */
  readonly groupOf?: Int32Array;
}

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

/** A grid whose weights are several tensors of 32-bit words and halves. */
export interface WordGrid extends Grid {
  readonly words: WordFormat;
}

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
    unpack: (kernels, arena, bytes, rows, cols) => unpackWeight(kernels, arena, grid, bytes, rows, cols),
  };
  return grid;
}

/** Runs over the parts of a weight with their bytes in the kernels' memory. */
async function forParts(
  { layout }: WordFormat,
  arena: Arena,
  parts: readonly WordPart[],
  visit: (part: WordPart, bytes: Uint8Array, at: number) => void,
): Promise<void> {
  let at = 0;
  for (const part of parts) {
    const holds = Object.values(layout.parts).includes(part.suffix);
    visit(part, holds ? arena.u8(part.bytes) : new Uint8Array(part.bytes), at);
    at += part.bytes;
  }
}

async function packWeight(kernels: Kernels, format: WordFormat, encoded: Encoded): Promise<Uint8Array> {
  const { layout, bits } = format;
  const { rows, cols, stride, codes, parameters } = encoded;
  if (!codes) throw new Error(`${format.name} stores codes`);
  const parts = layout.list(format, rows, cols);
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.bytes, 0));
  await kernels.scope((arena) =>
    forParts(format, arena, parts, (part, bytes, at) => {
      const { suffix } = part;
      if (suffix === layout.parts.codes) {
        const { along, row } = layout.codePitches(format, rows, cols);
        const args = [codes, stride, 1, cols, bits, Number(layout.dense), 0, bytes, 4 * along, 4 * row];
        kernels.parallel('packWords', rows, ...args);
      } else if (suffix === layout.parts.scales) {
        const groups = groupsOf(format, cols);
        const { along, row } = layout.scalePitches(rows, groups);
        kernels.parallel('storeScales', rows, groups, stride, parameters.scale, bytes, 2 * along, 2 * row);
      } else if (suffix === layout.parts.zeros) packZeros(kernels, arena, format, encoded, bytes);
      else bytes.set(layout.constant(part, format, rows, cols));
      result.set(bytes, at);
    }),
  );
  return result;
}

function packZeros(
  kernels: Kernels,
  arena: Arena,
  format: WordFormat,
  { rows, cols, stride, parameters }: Encoded,
  bytes: Uint8Array,
): void {
  const { layout, bits, affine } = format;
  const groups = groupsOf(format, cols);
  const points = arena.u8(groups * stride);
  const { scale, offset } = parameters;
  if (affine) kernels.parallel('offsetsToZeroPoints', rows, groups, stride, scale, offset, points);
  else points.fill(2 ** (bits - 1));
  const { along, row } = layout.zeroPitches(format, rows, groups);
  const shift = -layout.zeroShift;
  const args = [points, 1, stride, rows, bits, Number(layout.dense), shift, bytes, 4 * along, 4 * row];
  kernels.call('packWords', 0, groups, ...args);
}

async function unpackWeight(
  kernels: Kernels,
  arena: Arena,
  grid: WordGrid,
  stored: Uint8Array,
  rows: number,
  cols: number,
): Promise<Encoded> {
  const { words: format } = grid;
  const { layout, bits, affine, groupOf } = format;
  requireBytes(grid, stored, rows, cols);
  const stride = strideOf(rows);
  const groups = groupsOf(format, cols);
  const codes = arena.u8(cols * stride);
  const parameters = grid.allocate(arena, rows, cols);
  const values = arena.f32(cols * stride);
  await kernels.scope(async (scratch) => {
    await forParts(format, scratch, layout.list(format, rows, cols), ({ suffix, bytes: size }, bytes, at) => {
      bytes.set(stored.subarray(at, at + size));
      if (suffix === layout.parts.codes) {
        const { along, row } = layout.codePitches(format, rows, cols);
        const args = [codes, stride, 1, cols, bits, Number(layout.dense), 0, bytes, 4 * along, 4 * row];
        kernels.parallel('unpackWords', rows, ...args);
      } else if (suffix === layout.parts.scales) {
        const { along, row } = layout.scalePitches(rows, groups);
        const [size, kind] = scaleKinds[format.scaleType];
        const args = [groups, stride, parameters.scale, bytes, size * along, size * row, kind];
        kernels.parallel('loadScales', rows, ...args);
      }
    });
    if (affine) await unpackZeros(kernels, scratch, format, stored, { rows, cols, stride, parameters });
  });
  if (groupOf) {
    await kernels.scope((scratch) => {
      const index = scratch.i32(cols);
      index.set(groupOf);
      const low = affine ? 0 : -(2 ** (bits - 1));
      const { scale, offset } = parameters;
      kernels.parallel('dequantizeGathered', rows, codes, stride, cols, index, low, scale, offset, values);
    });
  } else await dequantize(kernels, grid, codes, parameters, { stride, cols }, values);
  return { grid, rows, stride, cols, codes, parameters, values };
}

/** Zero points follow after scales, which offsets are multiples of. */
async function unpackZeros(
  kernels: Kernels,
  arena: Arena,
  format: WordFormat,
  stored: Uint8Array,
  { rows, cols, stride, parameters }: Pick<Encoded, 'rows' | 'cols' | 'stride' | 'parameters'>,
): Promise<void> {
  const { layout, bits } = format;
  const groups = groupsOf(format, cols);
  await forParts(format, arena, layout.list(format, rows, cols), ({ suffix, bytes: size }, bytes, at) => {
    if (suffix !== layout.parts.zeros) return;
    bytes.set(stored.subarray(at, at + size));
    const points = arena.u8(groups * stride);
    const { along, row } = layout.zeroPitches(format, rows, groups);
    const dense = Number(layout.dense);
    const args = [points, 1, stride, rows, bits, dense, layout.zeroShift, bytes, 4 * along, 4 * row];
    kernels.call('unpackWords', 0, groups, ...args);
    const { scale, offset } = parameters;
    kernels.parallel('zeroPointsToOffsets', rows, groups, stride, scale, points, offset);
  });
}

/** Bytes of a scale, and its number among the kernels' kinds. */
const scaleKinds = { F16: [2, 0], BF16: [2, 1], F32: [4, 2] } as const;

const greatestCommonDivisor = (a: number, b: number): number =>
  b === 0 ? a : greatestCommonDivisor(b, a % b);
const leastCommonMultiple = (a: number, b: number): number => (a / greatestCommonDivisor(a, b)) * b;

/** The bytes of integers. */
export const int32Bytes = (values: ArrayLike<number>): Uint8Array =>
  new Uint8Array(Int32Array.from(values).buffer);
