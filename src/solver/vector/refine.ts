import { fitCodebooks } from './codebook.js';
import { roundToHalves, type VectorLayer } from './layer.js';
import { measure, multiply, products, type Residual, residualSpace, rowProducts } from './residual.js';
import { type Noise, type SweepSpace, sweepSpace, takeBest } from './sweep.js';

export interface RefineOptions {
  /** Rounds at most. */
  readonly sweeps: number;
  /** Refinement ends when a round takes less than this share off the loss. */
  readonly tolerance: number;
  /** How far vectors move against the loss in annealed rounds, in units of the row's loss per column; 0: none. */
  readonly temperature: number;
  /** Annealed rounds, behind the first of the others; they get ten times cooler. */
  readonly annealingSweeps: number;
}

/** The last annealed round is so many times cooler than the first. */
const cooling = 10;

/**
 * Refines codebooks, row scales and codes in turn under the full H until a round takes less than `tolerance` off
 * the loss. None of the three raises tr(Δ H Δᵀ) with the damped H, apart from rounding in f32. Rounds whose codes are
 * chosen under noise, at falling temperatures (as src/solver/descent/annealing.ts does with single weights), follow the
 * first, and may; if all the rest does not make up for them, the layer is put back to where it was.
 * @returns the loss before the first round and after every part of every round without noise
 */
export async function refine(
  layer: VectorLayer,
  { sweeps, tolerance, temperature, annealingSweeps }: RefineOptions,
): Promise<number[]> {
  const { context } = layer;
  return context.kernels.scope(async (arena) => {
    const inner = { ...layer, context: { ...context, arena } };
    const space = sweepSpace(arena, layer, layer.moment.blockSize);
    let residual = await measure(layer, residualSpace(arena, layer));
    const losses = [residual.loss];
    const round = async () => {
      const before = residual.loss;
      for (const part of [fitCodebooks, fitScales, descend]) {
        residual = await part(inner, residual, space);
        losses.push(residual.loss);
      }
      return residual.loss <= before * (1 - tolerance);
    };
    const settle = async (rounds: number) => {
      for (let left = rounds; left > 0 && (await round()); left--);
    };
    if (temperature === 0 || annealingSweeps === 0) {
      await settle(sweeps);
      return losses;
    }
    if (sweeps > 0) await round();
    const [loss, putBack] = [residual.loss, remember(layer)];
    residual = await anneal(inner, residual, space, temperature, annealingSweeps);
    await settle(sweeps - 1);
    if (residual.loss > loss) putBack();
    return losses;
  });
}

/** Rounds at falling temperatures, measured in a row's loss per column. */
async function anneal(
  layer: VectorLayer,
  start: Residual,
  space: SweepSpace,
  temperature: number,
  annealingSweeps: number,
): Promise<Residual> {
  const { context, weight } = layer;
  const { cols, stride } = weight;
  const losses = start.losses.slice();
  const noise = { states: context.arena.i32(stride), temperatures: context.arena.f32(stride) };
  let residual = start;
  for (let i = 0; i < annealingSweeps; i++) {
    const cooled = temperature * cooling ** (-i / Math.max(1, annealingSweeps - 1));
    noise.temperatures.set(losses.map((loss) => (6 * cooled * Math.max(0, loss)) / cols));
    context.kernels.parallel('startNoise', stride, { seed: i + 1, states: noise.states });
    residual = await descend(layer, residual, space, noise);
    residual = await fitScales(layer, await fitCodebooks(layer, residual));
  }
  return residual;
}

/** Remembers codes, codebooks and scales; the function puts them back. */
function remember({ cells, codebooks, scale }: VectorLayer): () => void {
  const arrays = [scale, codebooks, ...cells.flatMap(({ stages }) => stages.map(({ codes }) => codes))];
  const copies = arrays.map((array) => array.slice());
  return () => {
    for (const [i, array] of arrays.entries()) array.set(copies[i] ?? []);
  };
}

/** Fits codebooks and row scales to the codes as they are. */
export async function fitEntries(layer: VectorLayer): Promise<void> {
  const { context } = layer;
  await context.kernels.scope(async (arena) => {
    const inner = { ...layer, context: { ...context, arena } };
    const residual = await measure(inner, residualSpace(arena, layer));
    await fitScales(inner, await fitCodebooks(inner, residual));
  });
}

/**
 * The row scale that makes the row's loss least while codes and entries stay, where that is lower once rounded to a
 * half: with a = ŵ·H·Δᵀ and b = ŵ·H·ŵᵀ, scaling ŵ by 1 + x changes it by b x² − 2 a x.
 */
async function fitScales(layer: VectorLayer, residual: Residual): Promise<Residual> {
  const { context, weight, scale } = layer;
  const { values, gradient } = residual;
  await context.kernels.scope(async (arena) => {
    const [slope, curvature] = [arena.f64(weight.stride), arena.f64(weight.stride)];
    rowProducts(layer, values, gradient, slope);
    await multiply(layer, values, gradient);
    rowProducts(layer, values, gradient, curvature);
    const fitted = scale.map(
      (r, row) => r * (1 + (slope[row] ?? 0) / (curvature[row] || Number.POSITIVE_INFINITY)),
    );
    const rounded = arena.f32(scale.length);
    rounded.set(fitted);
    await roundToHalves(context.kernels, rounded);
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
 * product per block, later cells of the block through the kernel. With noise, the codeword that is best for a target
 * that the noise has moved.
 */
async function descend(
  layer: VectorLayer,
  residual: Residual,
  space: SweepSpace,
  noise?: Noise,
): Promise<Residual> {
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
          ...(noise ? { noise } : {}),
        });
    own.set(space.deltas.subarray(0, own.length));
  }
  return measure(layer, residual);
}
