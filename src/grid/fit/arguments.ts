import type { Arena, KernelRecord, Kernels } from '../../kernels/kernels.js';
import type { Levels } from '../grid.js';

/** Levels with codes and scales, the same for all rows, for which scales are fitted. */
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
  kernels.call('spreadImportance', { importance, cols, blockSize, into: vectors });
  return vectors;
}

/** Tables of at most so many integers, small enough for a byte, are compared as bytes. */
const byteLevels = 16;

/** The constants of nearestBytes in assembly/fit/table.ts. */
const byteConstants = [1.5 * 2 ** 23, 0.5];

/** Thresholds filled up to a multiple of three by one that no byte is beyond. */
function inThrees(thresholds: readonly number[]): number[] {
  return [...thresholds, ...Array<number>((3 - (thresholds.length % 3)) % 3).fill(127)];
}

/** Levels as the kernels of a fit read them. */
export function describeLevels(
  arena: Arena,
  levels: CodedLevels,
  affine: boolean,
): KernelRecord<'FitLevels'> {
  const none = { count: 0, thresholds: undefined, bytes: undefined, halves: 0, wholes: 0 };
  if (levels.kind === 'uniform')
    return arena.record('FitLevels', { min: levels.min, max: levels.max, affine, ...none });
  const { values } = levels;
  const midpoints = Array.from(values.subarray(1), (value, i) => (value + (values[i] ?? 0)) / 2);
  const thresholds = arena.f32(8 * midpoints.length);
  for (const [i, midpoint] of midpoints.entries()) {
    const at = 8 * i;
    thresholds.fill(midpoint, at, at + 4).fill(2 * (midpoint - (values[i] ?? 0)), at + 4, at + 8);
  }
  return arena.record('FitLevels', {
    ...none,
    ...byteThresholds(arena, values, midpoints),
    min: values[0] ?? 0,
    max: values.at(-1) ?? 0,
    count: values.length,
    affine,
    thresholds,
  });
}

/** What nearestBytes needs for a short table of small integers; nothing for others. */
function byteThresholds(arena: Arena, values: Float32Array, midpoints: readonly number[]) {
  const small = (value: number) => Number.isInteger(value) && Math.abs(value) <= 127;
  if (values.length > byteLevels || !values.every(small)) return {};
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
  return { bytes, halves: halves.length, wholes: wholes.length };
}
