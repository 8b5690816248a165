import type { Arena, Kernels } from '../../kernels/kernels.js';
import type { Levels } from '../grid.js';

/** Levels with codes and scales, the same for all rows, which a fit is about. */
export type CodedLevels = Extract<Levels, { kind: 'uniform' | 'table' }>;

export const isCoded = (levels: Levels): levels is CodedLevels =>
  levels.kind === 'uniform' || levels.kind === 'table';

/** Rows that kernels.parallel hands out are multiples of this. */
const rowQuantum = 16;

/** Scratch for kernels that work `bytes` per thread, a sixteenth of it per row behind their first row. */
export function threadScratch(arena: Arena, rows: number, bytes: number): Uint8Array {
  return arena.scratch(Math.ceil(rows / rowQuantum) * bytes);
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

/** Tables of at most so many integers, small enough for a byte, are compared as bytes. */
const byteLevels = 16;

/** The constants of nearestBytes in assembly/fit-table.ts. */
const byteConstants = [1.5 * 2 ** 23, 0.5];

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
  const small = (value: number) => Number.isInteger(value) && Math.abs(value) <= 127;
  if (values.length > byteLevels || !values.every(small)) return description;
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
