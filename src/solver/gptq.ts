import type { Encoded, Grid, Panel } from '../grid/grid.js';
import { levelRecord } from '../grid/levels.js';
import type { Arena } from '../kernels/kernels.js';
import { type Factor, factorDamped } from './cholesky.js';
import { pivotImportance } from './importance.js';
import { doubles, layerEnergy, ratio, total } from './layer-error.js';
import { activationOrder, naturalOrder } from './order.js';
import { rtn } from './rtn.js';
import { allocateEncoded } from './solution.js';
import type { Solver, Workbench } from './solver.js';

export interface GptqOptions {
  /** Added to the diagonal of H in units of its mean; grows by itself where that is not enough. */
  readonly damping: number;
  /** Columns from first to last, or from the loudest input to the quietest ("act-order"). */
  readonly order: 'natural' | 'activation';
  /**
   * Scales fitted once on the weights, or block by block on the corrected weights; blocks then stay together in
   * the order of columns. Where a scale is for a whole row, it is always the former.
   */
  readonly groups: 'static' | 'dynamic';
  /** Columns between matrix products; changes speed, not the result. A multiple of eight. */
  readonly blockSize: number;
}

export const gptqDefaults: GptqOptions = {
  damping: 0.01,
  order: 'activation',
  groups: 'dynamic',
  blockSize: 256,
};

/**
 * GPTQ (Frantar et al., 2022): rounds column after column and lets the columns that are still free make up for
 * each error. In the form of LDLQ (Chee et al., QuIP, 2023, theorem 6), which needs no inverse: with positions
 * in reversed order of processing, so that the last is rounded first, and the damped H = L·Lᵀ,
 *
 *   t_j = w_j + Σ_{k>j} Δ_k L_kj / L_jj,   ŵ_j = Q(t_j),   Δ_j = w_j − ŵ_j,   tr(Δ H Δᵀ) = Σ_j L_jj² (t_j − ŵ_j)².
 *
 * What later blocks of positions add to the sums is one matrix product per block; inside a block a kernel does it.
 * @throws TersorError for a second moment that is not finite or not positive semi-definite
 */
export const gptq: Solver<GptqOptions> = async (bench, weight, moments, grid, options = {}) => {
  // Without correlations there is nothing to make up for errors with.
  if (!moments) return rtn(bench, weight, moments, grid);
  const { gram } = moments;
  const { damping, order: ordering, groups, blockSize } = resolve(options, grid);
  const { kernels, gemm } = bench;
  const { rows, cols, stride } = weight;
  const encoded = allocateEncoded(bench.arena, weight, grid);

  const relativeError = await kernels.scope(async (arena) => {
    const order =
      ordering === 'natural'
        ? naturalOrder(arena, cols)
        : activationOrder(arena, gram, groups === 'dynamic' ? grid.blockSize : 1);
    const factor = await factorDamped(bench, gram, order, damping, blockSize);
    const importance = pivotImportance(arena, gram, order, factor);
    if (groups === 'static') await grid.fit(kernels, weight, importance, encoded.parameters, 0);
    const work = workspace(arena, weight, grid, order, blockSize);
    const deltas = new Float32Array(cols * stride); // Δ by position

    for (const [first, width, column] of blocksFromTheEnd(factor)) {
      const [squareSize, later] = [width * width, first + width];
      work.square.set(column.subarray(0, squareSize));
      kernels.call('rowsToPanel', 0, width, width, width, work.square, work.upper);
      if (later < cols) {
        const below = { data: column.subarray(squareSize), shape: [cols - later, width] };
        const known = { data: deltas.subarray(later * stride), shape: [cols - later, stride] };
        work.sums.set(await gemm(below, known, { transposeA: true, into: work.product(width) }));
      }
      const step = groups === 'dynamic' ? grid.blockSize : width;
      for (let to = width; to > 0; to -= step) {
        const range = { first, width, from: Math.max(0, to - step), to };
        if (groups === 'dynamic') await fitCorrected(bench, encoded, weight, importance, work, range);
        sweep(bench, encoded, weight, work, range);
      }
      deltas.set(work.deltas.subarray(0, width * stride), first * stride);
    }
    // Σ L_jj² (t_j − ŵ_j)² is the loss under the damped H.
    const loss = total(work.losses, rows) - factor.damping * total(work.norms, rows);
    return ratio(loss * factor.scale, await layerEnergy(bench, gram, weight));
  });
  return { encoded, relativeError, bytes: grid.bytes(rows, cols) };
};

/** Positions [from, to) of the block of `width` positions that starts at `first`. */
interface Range {
  readonly first: number;
  readonly width: number;
  readonly from: number;
  readonly to: number;
}

/** What the kernels work on, one block of positions at a time. */
interface Workspace {
  readonly order: Int32Array;
  readonly levels: Float32Array;
  /** L of the block and its transpose. */
  readonly square: Float32Array;
  readonly upper: Float32Array;
  /** Σ_{k>j} Δ_k L_kj and Δ_j, width × stride. */
  readonly sums: Float32Array;
  readonly deltas: Float32Array;
  readonly scratch: Float32Array;
  /** Per row: Σ L_jj² (t_j − ŵ_j)² and Σ Δ_j². */
  readonly losses: Float64Array;
  readonly norms: Float64Array;
  /** Receives a matrix product outside the kernels' memory. */
  product(width: number): Float32Array;
}

function workspace(
  arena: Arena,
  { stride }: Panel,
  grid: Grid,
  order: Int32Array,
  blockSize: number,
): Workspace {
  const product = new Float32Array(blockSize * stride);
  return {
    order,
    levels: levelRecord(arena, grid.levels),
    square: arena.f32(blockSize ** 2),
    upper: arena.f32(blockSize ** 2),
    sums: arena.f32(blockSize * stride),
    deltas: arena.f32(blockSize * stride),
    scratch: arena.f32(2 * blockSize * (stride + 16)),
    losses: doubles(arena, stride),
    norms: doubles(arena, stride),
    product: (width) => product.subarray(0, width * stride),
  };
}

/** First position, width and L's block column of every block, the last block first. */
function* blocksFromTheEnd({
  size,
  blockSize,
  columns,
}: Factor): Generator<readonly [number, number, Float32Array]> {
  for (const [b, column] of [...columns.entries()].reverse()) {
    yield [b * blockSize, Math.min(blockSize, size - b * blockSize), column];
  }
}

/** Rounds a range of positions, the last first, and adds what that changes to the sums of the block's others. */
function sweep({ kernels }: Workbench, encoded: Encoded, weight: Panel, work: Workspace, range: Range): void {
  const { grid, parameters, codes, values, stride, cols } = encoded;
  kernels.parallel(
    'sweepBlock',
    stride,
    weight.data,
    stride,
    work.order.subarray(range.first),
    Math.min(grid.groupSize, cols),
    parameters.scale,
    parameters.offset,
    work.levels,
    work.upper,
    range.width,
    range.from,
    range.to,
    work.sums,
    work.deltas,
    codes ?? 0,
    values,
    work.losses,
    work.norms,
    work.scratch,
  );
}

/** Fits the scales of a range of positions, whole blocks of the grid, to what they are to be rounded to now. */
async function fitCorrected(
  { kernels }: Workbench,
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
    const column = Math.min(...positions.subarray(from, to));
    const block = [positions, upper, width, from, to, column, sums, target.data, scratch];
    kernels.parallel('currentTarget', stride, weight.data, stride, ...block);
    await grid.fit(kernels, target, importance.subarray(column, column + to - from), parameters, column);
  });
}

/** Options with defaults, made to suit the grid. */
function resolve(options: Partial<GptqOptions>, { levels, groupSize, blockSize: unit }: Grid): GptqOptions {
  const resolved = { ...gptqDefaults, ...options };
  if (levels.kind === 'cast' || !Number.isFinite(groupSize)) return { ...resolved, groups: 'static' };
  if (resolved.groups === 'static') return resolved;
  return { ...resolved, blockSize: Math.ceil(resolved.blockSize / unit) * unit };
}
