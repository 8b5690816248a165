import type { Architecture } from '../../architecture/architecture.js';
import { createForward, type Forward } from '../../architecture/forward.js';
import type { ActivationCache } from '../../calibration/activation-cache.js';
import { shrinkMoments } from '../../calibration/shrinkage.js';
import { type Calibrator, createCalibrator } from '../../calibration/walk.js';
import { chooseShrinkage } from '../../solver/shrinkage.js';
import type { Moments } from '../../types.js';
import type { Context } from '../context/context.js';
import type { Recipe } from '../prepare/recipe.js';

/** What takes a text through a model, its time charged to calibration. */
export interface Passes {
  /** Embeds sequences; the states wait in the activation cache, if there is one. */
  readonly embed: Forward['embedAll'];
  readonly calibrator: Calibrator;
  release(): Promise<void>;
}

/** How far moments are shrunk: λ, or found out at each site. */
export type Shrinkage = 'auto' | number;

export const shrinkageOf = ({ shrinkage = 'auto' }: Pick<Recipe, 'shrinkage'>): Shrinkage => shrinkage;

export interface PassesOptions {
  /** Where activations wait between two parts of a block; the caller's to close. */
  readonly cache?: ActivationCache | undefined;
  /**
   * For moments that something is to be fitted to: they are shrunk, and some tokens are held out of them. Without it
   * they are the plain sums of all tokens, as measurements want them.
   */
  readonly shrinkage?: Shrinkage | undefined;
}

export function createPasses(
  context: Context,
  architecture: Architecture,
  { cache, shrinkage }: PassesOptions = {},
): Passes {
  const forward = createForward(architecture, context);
  const holdOut = shrinkage !== undefined;
  const calibrator = createCalibrator(architecture, { ...context, holdOut }, cache);
  const estimate = async <M extends Moments>(moments: M): Promise<M> =>
    shrinkage === undefined
      ? moments
      : shrinkMoments(moments, shrinkage === 'auto' ? await chooseShrinkage(context, moments) : shrinkage);
  const timed = <T>(work: () => Promise<T>) => context.stopwatch.time('calibrate', work);
  return {
    embed: (sequences, weights) => timed(() => forward.embedAll(sequences, weights, cache?.keep)),
    calibrator: {
      walk: (passage, visit, options) =>
        timed(() =>
          calibrator.walk(passage, async (roles, moments) => visit(roles, await estimate(moments)), options),
        ),
      head: (...args) => timed(async () => estimate(await calibrator.head(...args))),
      release: calibrator.release,
    },
    async release() {
      await Promise.all([forward.release(), calibrator.release()]);
    },
  };
}
