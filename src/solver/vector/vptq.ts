import { TersorError } from '../../errors.js';
import { decodeCells, vectorCells } from '../../grid/vector/format.js';
import { isVectorGrid } from '../../grid/vector/vector.js';
import type { Factor } from '../cholesky.js';
import { blocksFromTheEnd } from '../feedback.js';
import type { Solver } from '../solver.js';
import { startCodebooks } from './codebook.js';
import { roundToHalves, type VectorLayer } from './layer.js';
import { prepareLayer } from './prepare.js';
import { fitEntries, type RefineOptions, refine } from './refine.js';
import { sweepSpace, takeBest } from './sweep.js';

export interface VptqOptions extends RefineOptions {
  /** Added to the diagonal of H in units of its mean; grows by itself where that is not enough. */
  readonly damping: number;
  /** Rounds of k-means that the codebooks are started with. */
  readonly iterations: number;
  /** Passes of error feedback; after every one but the last, codebooks and row scales are fitted to its codes. */
  readonly passes: number;
  /** Chooses the vectors that the codebooks are started from. */
  readonly seed: number;
  /** Columns between matrix products; changes speed, not the result. A multiple of eight. */
  readonly blockSize: number;
}

export const vptqDefaults: VptqOptions = {
  damping: 0.01,
  iterations: 20,
  passes: 3,
  sweeps: 8,
  tolerance: 0.002,
  temperature: 0.3,
  annealingSweeps: 24,
  seed: 0,
  blockSize: 96,
};

/**
 * VPTQ (Liu et al., 2024, arXiv:2409.17066): vectors of d columns on learned codebooks under the full H. Codebooks
 * start by k-means weighted by H; then error feedback assigns vector after vector, in the order of falling diag H, in the
 * form of LDLQ (src/solver/gptq.ts) with d × d squares of L where that has numbers; then codes, entries and row
 * scales are refined jointly (src/solver/vector/refine.ts), which never raises the loss.
 * @throws TersorError for other grids, and for a second moment that is not finite or not positive semi-definite
 */
export const vptq: Solver<VptqOptions> = async (context, weight, moments, grid, options = {}) => {
  if (!isVectorGrid(grid))
    throw new TersorError(`the solver vptq finds vector codes and type ${grid.name} has none`, {
      remedy: 'choose a type such as vq-2.25, or the solver gptq',
    });
  const { rows, cols, stride } = weight;
  const chosen = { ...vptqDefaults, ...options };
  const { damping, blockSize, iterations, passes, seed } = chosen;
  const encoded = {
    grid,
    rows,
    stride,
    cols,
    parameters: grid.allocate(context.arena, rows, cols),
    values: context.arena.f32(cols * stride),
  };
  await context.kernels.scope(async (arena) => {
    const inner = { ...context, arena };
    const { layer, factor } = await prepareLayer(inner, encoded, weight, moments?.gram, damping, blockSize);
    await startCodebooks(layer, iterations, seed);
    await roundToHalves(context.kernels, layer.codebooks);
    for (let pass = 1; pass < passes; pass++) {
      await assignWithFeedback(layer, factor);
      await fitEntries(layer);
    }
    await assignWithFeedback(layer, factor);
    await refine(layer, chosen);
    layer.scale.fill(0, rows);
    decodeCells(
      context.kernels,
      vectorCells(arena, grid.format(rows, cols), encoded.parameters, rows, cols),
      layer.scale,
      encoded.values,
    );
  });
  return { encoded, bytes: grid.bytes(rows, cols) };
};

/**
 * Assigns every cell by error feedback, from the last position to the first: t = w + s·L⁻¹ with s what the errors
 * made so far add up to, and the codeword nearest to t by |(t − c)·L|, L being the cell's square of the factor. A
 * residual codebook sees what its codebook left, through L as well.
 */
export async function assignWithFeedback(layer: VectorLayer, factor: Factor): Promise<void> {
  const { context, weight, cells } = layer;
  const { cols, stride, data } = weight;
  await context.kernels.scope(async (arena) => {
    const space = sweepSpace(arena, layer, factor.blockSize);
    const deltas = new Float32Array(cols * stride); // Δ by position
    for (const [first, width, column] of blocksFromTheEnd(factor)) {
      const later = first + width;
      space.coupling.set(column.subarray(0, width * width));
      space.sums.fill(0);
      space.deltas.fill(0);
      if (later < cols) {
        const below = { data: column.subarray(width * width), shape: [cols - later, width] };
        const known = { data: deltas.subarray(later * stride), shape: [cols - later, stride] };
        space.sums.set(await context.gemm(below, known, { transposeA: true }));
      }
      for (const cell of cells.filter(({ at }) => at >= first && at < later).reverse()) {
        const local = cell.at - first;
        const d = cell.columns.length;
        clearAbove(space.coupling, width, local, d);
        for (const stage of cell.stages.keys()) {
          const base = stage === 0 ? data : 'nothing';
          takeBest(layer, space, {
            cell,
            stage,
            base,
            metric: cell.feedback,
            local,
            width,
            reach: local + d,
          });
        }
      }
      deltas.set(space.deltas.subarray(0, width * stride), first * stride);
    }
  });
}

/** Zeroes what stands above the diagonal of a cell's square of L. */
function clearAbove(lower: Float32Array, width: number, local: number, d: number): void {
  for (let i = 0; i < d; i++)
    lower.fill(0, (local + i) * width + local + i + 1, (local + i) * width + local + d);
}
