import { matrixShape } from '../architecture/architecture.js';
import { batchTokensOf } from '../architecture/forward.js';
import { footprint } from '../calibration/walk.js';
import type { Job } from './job.js';
import type { Workshop } from './workshop.js';

/** What carrying out a plan will take on this machine. */
export interface Estimate {
  readonly seconds: number;
  readonly peakMemoryBytes: number;
}

// Fitted to four runs of tales and stories15M: memory came out within a tenth, time within a factor of two.
/** Share of the bare product's speed that a block with its second moments reaches. */
const efficiency = 0.6;
/** Seconds per weight and thread of kernels beside matrix products: fits, sweeps, packing. */
const secondsPerWeight: Readonly<Record<string, number>> = { rtn: 1.2e-7, gptq: 6e-7 };
const descentSecondsPerWeight = 5e-6;
/** Node, the kernels' memory and onnxruntime before any work. */
const processBytes = 330e6;
/** onnxruntime's work space for the parts of a block, in floats per token of a batch and float kept. */
const workSpace = 9;
/** Arrays of activations that are garbage and not yet collected, and those in use, in terms of the latter. */
const slack = 1.5;

/**
 * Time and memory of a job, from its shapes and this machine's speed at matrix products.
 * Memory: activations of all calibration tokens between two parts of a block (twice where the original runs beside the
 * compressed model), the tables outside the blocks, one block, and what solving its largest layer takes.
 */
export async function estimate(shop: Workshop, job: Job): Promise<Estimate> {
  const { model, assignments, recipe, calibration } = job;
  const { architecture } = model;
  const { kept, sites } = footprint(architecture);
  const batchTokens = batchTokensOf(architecture);
  const twins = recipe.target === 'asymmetric' ? 2 : 1;
  const linear = assignments.filter(({ spec }) => spec.kind === 'linear');
  const weights = linear.reduce((sum, { elements }) => sum + elements, 0);
  const perBlock = weights / architecture.layers;
  const outside = assignments.reduce(
    (sum, { spec, elements }) => sum + (spec.block === undefined ? elements : 0),
    0,
  );
  const squares = sites.reduce((sum, width) => sum + width ** 2, 0);
  const largest = Math.max(...linear.map(({ elements }) => elements));
  const widest = Math.max(...linear.map(({ spec }) => matrixShape(spec)[1]));

  const forward = 2 * weights * twins;
  const moments = 2 * squares * architecture.layers * twins;
  const flops = (forward + moments) * recipe.tokens;
  const perWeight = secondsPerWeight[recipe.solver] ?? descentSecondsPerWeight;
  const measured = calibration.heldOut.length * recipe.context * 2 * (weights + outside) * 3;
  const speed = await productSpeed(shop);
  return {
    seconds:
      (flops / efficiency + measured) / speed +
      (weights * perWeight + outside * (secondsPerWeight.rtn ?? 0)) / shop.threads +
      2,
    peakMemoryBytes:
      processBytes +
      4 *
        (slack * recipe.tokens * kept * twins +
          // The last batch is shorter than the others and has sessions of its own.
          Math.min(2, recipe.tokens / batchTokens) * batchTokens * kept * workSpace * twins +
          2 * outside +
          2 * perBlock * twins +
          4 * widest ** 2 +
          8 * largest),
  };
}

/** Floating-point operations per second of a matrix product, the best of a few. */
async function productSpeed({ gemm }: Workshop): Promise<number> {
  const size = 768;
  const square = { data: new Float32Array(size ** 2).fill(1), shape: [size, size] };
  let best = 0;
  for (let attempt = 0; attempt < 4; attempt++) {
    const start = performance.now();
    await gemm(square, square);
    best = Math.max(best, (2000 * size ** 3) / (performance.now() - start));
  }
  return best;
}
