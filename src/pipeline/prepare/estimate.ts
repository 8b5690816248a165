import { type Architecture, firstOfKinds, matrixShape } from '../../architecture/architecture.js';
import { footprint } from '../../calibration/footprint.js';
import { mostKept } from '../../calibration/held-out.js';
import { required } from '../../required.js';
import { findSolver } from '../../solver/index.js';
import type { Context } from '../context/context.js';
import type { Job } from './job.js';
import { peakMemory } from './memory.js';

/** What carrying out a plan will take on this machine. */
export interface Estimate {
  readonly seconds: number;
  readonly peakMemoryBytes: number;
  /** How much of that is the finished file as its runtime maps it, which the system can take back. */
  readonly mappedBytes: number;
}

// Fitted to four runs of tales and stories15M: time came out within a factor of two.
/** Share of the bare product's speed that a block with its second moments reaches. */
const efficiency = 0.6;
/** Shrinkages that a site tries (src/solver/shrinkage.ts); solutions and targets of a weight whose outputs are compared. */
const [shrinkagesTried, outputsCompared] = [3.3, 4];
/** Products of a weight with H that its target takes (src/calibration/target.ts), and those of GPTQ and its error. */
const [targetProducts, solverProducts] = [17, 3];

/** Time of a job, from its shapes and this machine's speed at matrix products, and memory. */
export async function estimate(context: Context, job: Job, memory?: number): Promise<Estimate> {
  const { model, assignments, recipe, calibration } = job;
  const { architecture } = model;
  const models = recipe.match === 'original' ? 2 : 1;
  const linear = assignments.filter(({ spec }) => spec.kind === 'linear');
  const weights = linear.reduce((sum, { elements }) => sum + elements, 0);
  const outside = assignments.reduce(
    (sum, { spec, elements }) => sum + (spec.block === undefined ? elements : 0),
    0,
  );
  const squares = sumOfSites(architecture, (width) => width ** 2);
  const forward = 2 * weights * models;
  const moments = 2 * squares * models;
  const products = solverProducts + (models > 1 ? targetProducts : 0);
  const solving = linear.reduce((sum, { spec, elements }) => sum + elements * matrixShape(spec)[1], 0);
  const judged = Math.min(mostKept, recipe.tokens / 8);
  // A factor of H for each shrinkage, and the inputs to judge by behind it.
  const shrinking =
    shrinkagesTried * sumOfSites(architecture, (width) => width ** 3 / 3 + width ** 2 * judged);
  const judging = 2 * outputsCompared * judged * weights;
  const flops = (forward + moments) * recipe.tokens + 2 * products * solving + shrinking + judging;
  const { secondsPerWeight } = findSolver(recipe.solver);
  const { secondsPerWeight: rounding } = findSolver('rtn');
  const measured = calibration.heldOut.length * recipe.context * 2 * (weights + outside) * 3;
  const speed = await productSpeed(context);
  const peak = peakMemory(job, memory);
  return {
    seconds:
      (flops / efficiency + measured) / speed +
      (weights * (secondsPerWeight + rounding) + outside * rounding) / context.threads +
      2,
    peakMemoryBytes: peak.bytes,
    mappedBytes: peak.mapped,
  };
}

/** What every site has for its width, summed over all. */
function sumOfSites(architecture: Architecture, of: (width: number) => number): number {
  const ofKind = new Map(
    firstOfKinds(architecture).map((block) => {
      const { sites } = footprint(architecture, block, { sequences: 1, length: 1 });
      return [architecture.kindOf(block), sites.reduce((sum, { width }) => sum + of(width), 0)];
    }),
  );
  let sum = 0;
  for (let block = 0; block < architecture.layers; block++)
    sum += required(ofKind, architecture.kindOf(block));
  return sum;
}

/** Floating-point operations per second of a matrix product, the best of a few. */
async function productSpeed({ gemm }: Context): Promise<number> {
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
