import {
  type Architecture,
  firstOfKinds,
  matrixShape,
  type TensorSpec,
} from '../../architecture/architecture.js';
import { footprint } from '../../calibration/footprint.js';
import { mostKept } from '../../calibration/held-out.js';
import { elements } from '../../graph/ops.js';
import { required } from '../../required.js';
import { findSolver } from '../../solver/index.js';
import type { Recipe } from './recipe.js';

/** What solving a model takes, whatever the machine. */
export interface Work {
  /** Floating-point operations of large matrix products. */
  readonly flops: number;
  /** Seconds of one thread in everything else. */
  readonly threadSeconds: number;
}

/** What of a recipe decides on its work. */
export type WorkRecipe = Pick<Recipe, 'solver' | 'match' | 'tokens' | 'options'>;

// Fitted to four runs of tales and stories15M: time came out within a factor of two.
/** Share of the bare product's speed that a block with its second moments reaches. */
const efficiency = 0.6;
/** Shrinkages that a site tries (src/solver/shrinkage.ts); solutions and targets of a weight whose outputs are compared. */
const [shrinkagesTried, outputsCompared] = [3.3, 3];
/** Products of a weight with H that its target takes (src/calibration/target.ts), and what GPTQ takes of one. */
const [targetProducts, solverProducts] = [8, 0.5];
/** Share of a second moment that is computed, the rest being its mirror image. */
const momentShare = 0.6;
/** Share of the rows that is rounded to nearest, to be compared with. */
const roundedShare = 1 / 8;
/** Share of a descent's time that it takes without annealing. */
const withoutAnnealing = 0.4;

/** Calibrating and solving every tensor of a model. */
export function workOf(architecture: Architecture, { solver, match, tokens, options }: WorkRecipe): Work {
  const { tensors } = architecture;
  const models = match === 'original' ? 2 : 1;
  const linear = tensors.filter(({ kind }) => kind === 'linear');
  const weights = weightsOf(linear);
  const outside = weightsOf(tensors.filter(({ block }) => block === undefined));
  const forward = 2 * weights * models;
  const moments = 2 * sumOfSites(architecture, (width) => width ** 2) * (momentShare + models - 1);
  const products = solverProducts + (models > 1 ? targetProducts : 0);
  const solving = linear.reduce((sum, spec) => sum + elements(spec.shape) * matrixShape(spec)[1], 0);
  const factoring = linear.reduce((sum, spec) => sum + matrixShape(spec)[1] ** 3 / 3, 0);
  const judged = Math.min(mostKept, tokens / 8);
  // A factor of H for each shrinkage, and the inputs to judge by behind it.
  const shrinking =
    shrinkagesTried * sumOfSites(architecture, (width) => width ** 3 / 3 + width ** 2 * judged);
  const judging = 2 * outputsCompared * judged * weights;
  const flops = (forward + moments) * tokens + 2 * products * solving + factoring + shrinking + judging;
  const { secondsPerWeight, descends } = findSolver(solver);
  const { secondsPerWeight: rounding } = findSolver('rtn');
  const perWeight = secondsPerWeight * (descends && options?.temperature === 0 ? withoutAnnealing : 1);
  return {
    flops: flops / efficiency,
    threadSeconds: weights * (perWeight + roundedShare * rounding) + outside * rounding,
  };
}

const weightsOf = (specs: readonly TensorSpec[]): number =>
  specs.reduce((sum, { shape }) => sum + elements(shape), 0);

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
