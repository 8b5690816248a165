import { spreadImportance } from '../grid/fit/arguments.js';
import type { Kernels } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';
import type { Matrix } from '../types.js';
import { blockColumns, meanDiagonal } from './cholesky.js';
import type { SolverContext } from './solver.js';

/** Columns of H per matrix product: wide enough for onnxruntime's full speed, small beside the layer. */
const blockSize = 512;

/**
 * ε = tr(Δ H Δᵀ) / tr(W H Wᵀ) with Δ = W − Ŵ; 0 where all inputs are zero. `values` is Ŵ, cols × stride;
 * without `gram`, H = I.
 */
export async function layerError(
  context: SolverContext,
  gram: Matrix | undefined,
  weight: Panel,
  values: Float32Array,
): Promise<number> {
  const loss = await layerLoss(context, gram, weight, values);
  const energy = gram ? layerEnergy(context, gram, weight) : squaredNorm(context.kernels, weight);
  return ratio(loss, await energy);
}

/** tr(Δ H Δᵀ) with Δ = W − Ŵ. */
export async function layerLoss(
  context: SolverContext,
  gram: Matrix | undefined,
  weight: Panel,
  values: Float32Array,
): Promise<number> {
  const { kernels } = context;
  const { cols, stride } = weight;
  return kernels.scope(async (arena) => {
    const difference = { ...weight, data: arena.f32(cols * stride) };
    kernels.parallel('subtractPanels', stride, {
      cols,
      stride,
      x: weight.data,
      y: values,
      difference: difference.data,
    });
    return gram ? layerEnergy(context, gram, difference) : squaredNorm(kernels, difference);
  });
}

/**
 * ε where of H only the diagonal is known: Σ h_j Δ_j² / Σ h_j w_j².
 * @param diagonal mean square of every input
 */
export async function weightedError(
  { kernels }: Pick<SolverContext, 'kernels'>,
  diagonal: Float32Array,
  weight: Panel,
  values: Float32Array,
): Promise<number> {
  const { rows, cols, stride, data } = weight;
  return kernels.scope((arena) => {
    const energies = arena.f32(cols);
    energies.set(diagonal);
    const importance = spreadImportance(kernels, arena, energies, cols, cols);
    const distance = (other: Float32Array) => {
      const sums = arena.f64(stride);
      kernels.parallel('addRowErrors', stride, { cols, stride, x: data, y: other, importance, errors: sums });
      return total(sums, rows);
    };
    return ratio(distance(values), distance(arena.f32(cols * stride)));
  });
}

/** A loss in units of the layer's energy; 0 for a layer whose outputs are all zero. */
export const ratio = (loss: number, energy: number): number => (energy > 0 ? Math.max(0, loss) / energy : 0);

/**
 * tr(X H Xᵀ), from one triangle of the symmetric H.
 */
export async function layerEnergy({ kernels, gemm }: SolverContext, gram: Matrix, x: Panel): Promise<number> {
  const { rows, cols: size, stride } = x;
  // onnxruntime does not read the kernels' memory.
  const mirror = x.data.slice(0, size * stride);
  const scale = meanDiagonal(gram);
  return kernels.scope(async (arena) => {
    const order = arena.i32(size);
    for (let i = 0; i < size; i++) order[i] = i;
    const gather = blockColumns(kernels, arena, gram, order, scale, blockSize);
    const products = arena.f32(blockSize * stride);
    const results = [0, 1].map(() => new Float32Array(Math.min(blockSize, size) * stride));
    const sums = arena.f64(stride);
    for (let from = 0; from < size; from += blockSize) {
      const width = Math.min(blockSize, size - from);
      const block = { data: mirror.subarray(from * stride, (from + width) * stride), shape: [width, stride] };
      const rest = { data: mirror.subarray((from + width) * stride), shape: [size - from - width, stride] };
      const column = gather(from).slice();
      const square = { data: column.subarray(0, width * width), shape: [width, width] };
      const below = { data: column.subarray(width * width), shape: [size - from - width, width] };
      const [first, second] = results.map((result) => ({ into: result.subarray(0, width * stride) }));
      const add = await gemm(square, block, { transposeA: true, ...first });
      // Every entry off the diagonal square counts for its mirror image too.
      const product =
        rest.data.length > 0
          ? await gemm(below, rest, {
              transposeA: true,
              alpha: 2,
              add: { data: add, shape: block.shape },
              ...second,
            })
          : add;
      products.set(product);
      const own = x.data.subarray(from * stride);
      kernels.parallel('addRowProducts', stride, { cols: width, stride, x: own, y: products, sums });
    }
    return total(sums, rows) * scale;
  });
}

function squaredNorm(kernels: Kernels, { rows, cols, stride, data }: Panel): Promise<number> {
  return kernels.scope((arena) => {
    const sums = arena.f64(stride);
    kernels.parallel('addRowProducts', stride, { cols, stride, x: data, y: data, sums });
    return total(sums, rows);
  });
}

/** Sums over rows, without the padding, which may have been rounded to something else than zero. */
export const total = (sums: Float64Array, rows: number): number =>
  sums.subarray(0, rows).reduce((sum, value) => sum + value, 0);
