import type { Encoded } from '../grid/grid.js';
import { levelRecord } from '../grid/levels.js';
import type { Arena, KernelRecord } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';
import type { Factor } from './cholesky.js';
import type { SolverContext } from './solver.js';

// Error feedback inside one block of positions: the kernels of assembly/feedback and what they work on.

/** Positions [from, to) of the block of `width` positions that starts at `first`. */
export interface Range {
  readonly first: number;
  readonly width: number;
  readonly from: number;
  readonly to: number;
}

/** What the kernels work on, one block of positions at a time. */
export interface Workspace {
  readonly order: Int32Array;
  readonly levels: KernelRecord<'GridLevels'>;
  /** L of the block and its transpose. */
  readonly square: Float32Array;
  readonly upper: Float32Array;
  /** Σ_{k>j} Δ_k L_kj and Δ_j, width × stride. */
  readonly sums: Float32Array;
  readonly deltas: Float32Array;
  readonly scratch: Uint8Array;
  /** Receives a matrix product outside the kernels' memory. */
  product(width: number): Float32Array;
}

export function workspace(
  arena: Arena,
  { stride, grid, parameters }: Encoded,
  order: Int32Array,
  blockSize: number,
): Workspace {
  const product = new Float32Array(blockSize * stride);
  return {
    order,
    levels: levelRecord(arena, grid, parameters),
    square: arena.f32(blockSize ** 2),
    upper: arena.f32(blockSize ** 2),
    sums: arena.f32(blockSize * stride),
    deltas: arena.f32(blockSize * stride),
    scratch: arena.scratch(8 * blockSize * (stride + 16)),
    product: (width) => product.subarray(0, width * stride),
  };
}

/** First position, width and L's block column of every block, the last block first. */
export function* blocksFromTheEnd({
  size,
  blockSize,
  columns,
}: Factor): Generator<readonly [number, number, Float32Array]> {
  for (const [b, column] of [...columns.entries()].reverse()) {
    yield [b * blockSize, Math.min(blockSize, size - b * blockSize), column];
  }
}

/** Rounds a range of positions, the last first, and adds what that changes to the sums of the block's others. */
export function sweep(
  { kernels }: SolverContext,
  encoded: Encoded,
  weight: Panel,
  work: Workspace,
  range: Range,
): void {
  const { grid, parameters, codes, values, stride, cols } = encoded;
  kernels.parallel('sweepBlock', stride, {
    weight: weight.data,
    stride,
    order: work.order.subarray(range.first),
    groupSize: Math.min(grid.groupSize, cols),
    scale: parameters.scale,
    offset: parameters.offset,
    levels: work.levels,
    upper: work.upper,
    width: range.width,
    from: range.from,
    to: range.to,
    sums: work.sums,
    delta: work.deltas,
    codes,
    values,
    scratch: work.scratch,
  });
}

/** Fits the scales of a range of positions, whole blocks of the grid, to what they are to be rounded to now. */
export async function fitCorrected(
  { kernels }: SolverContext,
  { grid, parameters, stride }: Encoded,
  weight: Panel,
  importance: Float32Array,
  work: Workspace,
  { first, width, from, to }: Range,
): Promise<void> {
  const positions = work.order.subarray(first);
  await kernels.scope(async (arena) => {
    const target = { ...weight, cols: to - from, data: arena.f32((to - from) * stride) };
    const { upper, sums, scratch } = work;
    const base = Math.min(...positions.subarray(from, to));
    kernels.parallel('currentTarget', stride, {
      weight: weight.data,
      stride,
      order: positions,
      upper,
      width,
      from,
      to,
      base,
      sums,
      target: target.data,
      scratch,
    });
    await grid.fit(kernels, target, importance.subarray(base, base + to - from), parameters, base);
  });
}
