import type { Arena, Kernels } from '../kernels/kernels.js';
import { computeEffective } from './dequantize.js';
import type { GgufFormat, ScaleStorage } from './gguf.js';
import type { Levels, Panel, Parameters } from './grid.js';

/** The part of a format that fitting is about. */
export interface FitFormat {
  readonly levels: CodedLevels;
  readonly blockSize: number;
  /** `Infinity`: one group per row. */
  readonly groupSize: number;
  readonly scale: ScaleStorage;
}

export type CodedLevels = Exclude<Levels, { kind: 'cast' }>;
type Storage<Kind extends ScaleStorage['kind']> = Extract<ScaleStorage, { kind: Kind }>;

/** In longer groups the error is a smooth function of the scale, and a local search in the codes wins nothing. */
const localSearchMaximum = 256;
/** Rows that may share a thread's scratch; src/kernels hands out rows in multiples of it. */
const rowQuantum = 16;
/** Scratch of kernel fitTwoLevel per row: a sixteenth of one thread's. */
const superBlockScratch = 512;

/**
 * Fits columns [from, from + weight.cols) of a format, whatever its kind: the work of every `Grid.fit`.
 * @param importance one non-negative weight per column, in the kernels' memory
 */
export async function fitFormat(
  kernels: Kernels,
  format: GgufFormat,
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { scale, levels } = format;
  if (levels.kind === 'cast' || scale.kind === 'none') return;
  if (scale.kind === 'direct')
    await fitDirect(kernels, { ...format, scale, levels }, weight, importance, parameters, from);
  else await fitTwoLevel(kernels, { ...format, scale, levels }, weight, importance, parameters, from);
}

/**
 * Fits one storable scale (and offset) per group, minimising `Σ importance · (w − nearest value)²` per group and
 * row: trial scales around the range-derived one, each refined by weighted least squares for the codes that it
 * gives, then alternating minimisation, then the best of the storable neighbours. A group without any importance
 * is fitted as if all its columns mattered alike. Rows are independent: threads do not change the result.
 */
export async function fitDirect(
  kernels: Kernels,
  format: FitFormat & { readonly scale: Storage<'direct'> },
  weight: Panel,
  importance: Float32Array,
  { scale, offset }: Parameters,
  from: number,
): Promise<void> {
  const { rows, stride, cols, data } = weight;
  const groupSize = Math.min(format.groupSize, cols);
  const local = groupSize <= localSearchMaximum;
  const at = Number.isFinite(format.groupSize) ? (from / groupSize) * stride : 0;
  await kernels.scope((arena) => {
    kernels.parallel(
      'fitDirect',
      rows,
      data,
      stride,
      cols,
      spreadImportance(kernels, arena, importance, cols, Math.min(format.blockSize, cols)),
      describeLevels(arena, format.levels, format.scale.offset),
      groupSize,
      format.scale.type === 'e8m0' ? 1 : 0,
      scale.subarray(at),
      offset.subarray(at),
      arena.u8(scratchRows(rows) * groupSize * (local ? 2 : 1)),
      local ? 1 : 0,
    );
  });
}

/**
 * Fits formats whose scales (and offsets) are small integers per group times a half per block. Writes what is
 * stored (`superScale`, `superOffset`, `scaleCode`, `offsetCode`) and the effective scales and offsets.
 */
export async function fitTwoLevel(
  kernels: Kernels,
  format: GgufFormat & { readonly scale: Storage<'two-level'>; readonly levels: CodedLevels },
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { rows, stride, cols, data } = weight;
  const { blockSize, groupSize, scale } = format;
  const block = (from / blockSize) * stride;
  const group = (from / groupSize) * stride;
  const superScale = storedArray(parameters, 'superScale').subarray(block);
  const superOffset = scale.offset ? storedArray(parameters, 'superOffset').subarray(block) : 0;
  const scaleCode = storedArray(parameters, 'scaleCode').subarray(group);
  const offsetCode = scale.offset ? storedArray(parameters, 'offsetCode').subarray(group) : 0;
  await kernels.scope((arena) => {
    kernels.parallel(
      'fitTwoLevel',
      rows,
      data,
      stride,
      cols,
      spreadImportance(kernels, arena, importance, cols, blockSize),
      describeLevels(arena, format.levels, scale.offset !== undefined),
      groupSize,
      blockSize,
      describeLevels(arena, integers(scale.scaleMin, scale.scaleMax), false),
      scale.offset ? describeLevels(arena, integers(scale.offset.min, scale.offset.max), false) : 0,
      superScale,
      superOffset,
      scaleCode,
      offsetCode,
      arena.u8(scratchRows(rows) * superBlockScratch),
    );
  });
  computeEffective(kernels, format, parameters, stride, from / groupSize, cols / groupSize);
}

const integers = (min: number, max: number): CodedLevels => ({ kind: 'uniform', min, max });
const scratchRows = (rows: number) => Math.ceil(rows / rowQuantum) * rowQuantum;

function storedArray(parameters: Parameters, name: string): Float32Array | Uint8Array | Uint16Array {
  const array = parameters.stored[name];
  if (!array) throw new Error(`parameters without ${name}; make them with the grid's allocate`);
  return array;
}

/**
 * Importances as kernels read them: one vector of four equal lanes per column, relative to the mean of their
 * block; a block without any importance counts as uniform.
 */
export function spreadImportance(
  kernels: Kernels,
  arena: Arena,
  importance: Float32Array,
  cols: number,
  blockSize: number,
): Float32Array {
  const vectors = arena.f32(4 * cols);
  kernels.call('spreadImportance', importance, cols, blockSize, vectors);
  return vectors;
}

// Class Levels of assembly/fit-sums.ts, in 32-bit words; then thresholds and steps in four lanes each.
const words = { min: 0, max: 1, count: 2, affine: 3, bytes: 4, halves: 5, wholes: 6, length: 8 } as const;

/** Tables of small integers are compared as bytes. */
const byteTable = { levels: 16, bound: 125 } as const;

/** The constants of nearestBytes in assembly/fit-table.ts; the bounds are beyond all thresholds. */
const byteConstants = [-126, 126, 1.5 * 2 ** 23, 0.5];

/** Thresholds filled up to a multiple of three by one that no byte is beyond. */
function inThrees(thresholds: readonly number[]): number[] {
  return [...thresholds, ...Array<number>((3 - (thresholds.length % 3)) % 3).fill(127)];
}

/** Levels as the kernels of a fit read them. */
export function describeLevels(arena: Arena, levels: CodedLevels, affine: boolean): Float32Array {
  const values = levels.kind === 'table' ? levels.values : Float32Array.of(levels.min, levels.max);
  const steps = levels.kind === 'table' ? values.length - 1 : 0;
  const description = arena.f32(words.length + 8 * steps);
  const integers = new Int32Array(description.buffer, description.byteOffset, words.length);
  description[words.min] = values[0] ?? 0;
  description[words.max] = values.at(-1) ?? 0;
  integers[words.affine] = affine ? 1 : 0;
  if (levels.kind === 'uniform') return description;
  integers[words.count] = values.length;
  const midpoints = Array.from(values.subarray(1), (value, i) => (value + (values[i] ?? 0)) / 2);
  for (const [i, midpoint] of midpoints.entries()) {
    const at = words.length + 8 * i;
    description.fill(midpoint, at, at + 4).fill(2 * (midpoint - (values[i] ?? 0)), at + 4, at + 8);
  }
  const small = (value: number) => Number.isInteger(value) && Math.abs(value) <= byteTable.bound;
  if (values.length > byteTable.levels || !values.every(small)) return description;
  const halves = inThrees(midpoints.filter((midpoint) => !Number.isInteger(midpoint)));
  const wholes = inThrees(midpoints.filter(Number.isInteger));
  const bytes = arena.u8(16 * (1 + byteConstants.length + halves.length + wholes.length));
  bytes.set(values);
  const constants = new Float32Array(bytes.buffer, bytes.byteOffset + 16, 4 * byteConstants.length);
  for (const [i, constant] of byteConstants.entries()) constants.fill(constant, 4 * i, 4 * i + 4);
  for (const [i, midpoint] of [...halves, ...wholes].entries()) {
    const at = 16 * (1 + byteConstants.length + i);
    bytes.fill(Math.floor(midpoint), at, at + 16);
  }
  integers[words.bytes] = bytes.byteOffset;
  integers[words.halves] = halves.length;
  integers[words.wholes] = wholes.length;
  return description;
}
