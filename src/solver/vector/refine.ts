import { doubles } from '../layer-error.js';
import { fitCodebooks } from './codebook.js';
import { roundToHalves, type VectorLayer } from './layer.js';
import { measure, multiply, products, type Residual, residualSpace, rowProducts } from './residual.js';
import { type SweepSpace, sweepSpace, takeBest } from './sweep.js';

/**
 * Refines codebooks, row scales and codes in turn under the full H until a round takes less than `tolerance` off
 * the loss. None of the three raises tr(Δ H Δᵀ) with the damped H, apart from rounding in f32.
 * @returns the loss before the first round and after every part of every round
 */
export async function refine(
  layer: VectorLayer,
  { sweeps, tolerance }: { readonly sweeps: number; readonly tolerance: number },
): Promise<number[]> {
  const { bench } = layer;
  return bench.kernels.scope(async (arena) => {
    const inner = { ...layer, bench: { ...bench, arena } };
    const space = sweepSpace(arena, layer, layer.moment.blockSize);
    let residual = await measure(layer, residualSpace(arena, layer));
    const losses = [residual.loss];
    for (let round = 0; round < sweeps; round++) {
      const before = residual.loss;
      for (const part of [fitCodebooks, fitScales, descend]) {
        residual = await part(inner, residual, space);
        losses.push(residual.loss);
      }
      if (residual.loss > before * (1 - tolerance)) break;
    }
    return losses;
  });
}

/** Fits codebooks and row scales to the codes as they are. */
export async function fitEntries(layer: VectorLayer): Promise<void> {
  const { bench } = layer;
  await bench.kernels.scope(async (arena) => {
    const inner = { ...layer, bench: { ...bench, arena } };
    const residual = await measure(inner, residualSpace(arena, layer));
    await fitScales(inner, await fitCodebooks(inner, residual));
  });
}

/**
 * The row scale that makes the row's loss least while codes and entries stay, where that is lower once rounded to a
 * half: with a = ŵ·H·Δᵀ and b = ŵ·H·ŵᵀ, scaling ŵ by 1 + x changes it by b x² − 2 a x.
 */
async function fitScales(layer: VectorLayer, residual: Residual): Promise<Residual> {
  const { bench, weight, scale } = layer;
  const { values, gradient } = residual;
  await bench.kernels.scope(async (arena) => {
    const [slope, curvature] = [doubles(arena, weight.stride), doubles(arena, weight.stride)];
    rowProducts(layer, values, gradient, slope);
    await multiply(layer, values, gradient);
    rowProducts(layer, values, gradient, curvature);
    const fitted = scale.map(
      (r, row) => r * (1 + (slope[row] ?? 0) / (curvature[row] || Number.POSITIVE_INFINITY)),
    );
    const rounded = arena.f32(scale.length);
    rounded.set(fitted);
    await roundToHalves(bench.kernels, rounded);
    for (const [row, r] of rounded.entries()) {
      const x = r / (scale[row] ?? 1) - 1;
      const change = (curvature[row] ?? 0) * x * x - 2 * (slope[row] ?? 0) * x;
      if (r !== 0 && Number.isFinite(r) && change < 0) scale[row] = r;
    }
  });
  return measure(layer, residual);
}

/**
 * One sweep of coordinate descent over the codes: with the gradient G = Δ·H exact where it is read, every cell takes
 * the codeword that is best while all others stay. Later blocks see the changes of earlier ones through one matrix
 * product per block, later cells of the block through the kernel.
 */
async function descend(layer: VectorLayer, residual: Residual, space: SweepSpace): Promise<Residual> {
  const { cells, moment, weight } = layer;
  const { stride } = weight;
  const deltas = residual.deltas.slice();
  for await (const { first, width, data } of products(layer, deltas)) {
    const block = moment.columns[first / moment.blockSize] ?? new Float32Array();
    space.coupling.set(block.subarray(first * width, (first + width) * width));
    space.sums.set(data);
    const own = deltas.subarray(first * stride, (first + width) * stride);
    space.deltas.set(own);
    const inside = cells.filter(({ at }) => at >= first && at < first + width);
    for (const cell of inside)
      for (const stage of cell.stages.keys())
        takeBest(layer, space, {
          cell,
          stage,
          base: 'kept',
          metric: cell.descent,
          local: cell.at - first,
          width,
          reach: width,
        });
    own.set(space.deltas.subarray(0, own.length));
  }
  return measure(layer, residual);
}
