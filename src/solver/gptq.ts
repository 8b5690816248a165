import { withRangeScales } from '../grid/fit/range.js';
import type { Grid } from '../grid/grid.js';
import { factorDamped } from './cholesky.js';
import { blocksFromTheEnd, fitCorrected, sweep, workspace } from './feedback.js';
import { pivotImportance } from './importance.js';
import { activationOrder, naturalOrder } from './order.js';
import { rtn } from './rtn.js';
import { allocateEncoded } from './solution.js';
import type { Solver } from './solver.js';

export interface GptqOptions {
  /** Added to the diagonal of H in units of its mean; grows by itself where that is not enough. */
  readonly damping: number;
  /** Columns from first to last, or by falling diag H ("act-order"). */
  readonly order: 'natural' | 'activation';
  /**
   * Scales fitted once on the weights, or block by block on the corrected weights; blocks then stay together in
   * the order of columns. Where a scale is for a whole row, it is always the former.
   */
  readonly groups: 'static' | 'dynamic';
  /** Scales that minimise the error weighted by importance, or from the smallest and largest weight, as published. */
  readonly scales: 'fitted' | 'range';
  /** Columns between matrix products; changes speed, not the result. A multiple of eight. */
  readonly blockSize: number;
}

export const gptqDefaults: GptqOptions = {
  damping: 0.01,
  order: 'activation',
  groups: 'dynamic',
  scales: 'fitted',
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
export const gptq: Solver<GptqOptions> = async (context, weight, moments, target, options = {}) => {
  const { damping, order: ordering, groups, scales, blockSize } = resolve(options, target);
  // Without correlations there is nothing to make up for errors with.
  if (!moments) return rtn(context, weight, moments, target, { scales });
  const { gram } = moments;
  const grid = scales === 'range' ? withRangeScales(target) : target;
  const { kernels, gemm } = context;
  const { rows, cols, stride } = weight;
  const encoded = allocateEncoded(context.arena, weight, grid);

  await kernels.scope(async (arena) => {
    const order =
      ordering === 'natural'
        ? naturalOrder(arena, cols)
        : activationOrder(arena, gram, groups === 'dynamic' ? grid.blockSize : 1);
    const factor = await factorDamped(context, gram, order, damping, blockSize);
    const importance = pivotImportance(arena, gram, order, factor);
    // What groups share, a codebook or a scale of the tensor, is fitted before them in any case.
    const shared = grid.whole || grid.levels.kind === 'codebook';
    if (groups === 'static' || shared) await grid.fit(kernels, weight, importance, encoded.parameters, 0);
    const work = workspace(arena, encoded, order, blockSize);
    const deltas = new Float32Array(cols * stride); // Δ by position

    for (const [first, width, column] of blocksFromTheEnd(factor)) {
      const [squareSize, later] = [width * width, first + width];
      work.square.set(column.subarray(0, squareSize));
      kernels.parallel('rowsToPanel', width, {
        cols: width,
        stride: width,
        from: work.square,
        to: work.upper,
      });
      if (later < cols) {
        const below = { data: column.subarray(squareSize), shape: [cols - later, width] };
        const known = { data: deltas.subarray(later * stride), shape: [cols - later, stride] };
        work.sums.set(await gemm(below, known, { transposeA: true, into: work.product(width) }));
      }
      const step = groups === 'dynamic' ? grid.blockSize : width;
      for (let to = width; to > 0; to -= step) {
        const range = { first, width, from: Math.max(0, to - step), to };
        if (groups === 'dynamic') await fitCorrected(context, encoded, weight, importance, work, range);
        sweep(context, encoded, weight, work, range);
      }
      deltas.set(work.deltas.subarray(0, width * stride), first * stride);
    }
  });
  return { encoded: { ...encoded, grid: target }, bytes: grid.bytes(rows, cols) };
};

/** Options with defaults, made to suit the grid. */
function resolve(options: Partial<GptqOptions>, { levels, groupSize, blockSize: unit }: Grid): GptqOptions {
  const resolved = { ...gptqDefaults, ...options };
  if (levels.kind === 'cast' || !Number.isFinite(groupSize)) return { ...resolved, groups: 'static' };
  if (resolved.groups === 'static') return resolved;
  return { ...resolved, blockSize: Math.ceil(resolved.blockSize / unit) * unit };
}
