import { optimise, type Settings, type Space } from '../../allocation/bayesian.js';
import { TersorError } from '../../errors.js';
import { findSolver } from '../../solver/index.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import { defaultStoreFolder, openStore } from '../context/store.js';
import type { CompressOptions } from '../options.js';
import type { Job } from '../prepare/job.js';
import type { TunedRecipe, Tuning } from '../prepare/plan.js';
import type { Recipe } from '../prepare/recipe.js';
import { average, difference } from './paired.js';
import { createTrialCompressor } from './trial-compression.js';

/** Which inputs and outputs layers are solved for: `--calibrate-on` and `--match` in one. */
const matches = ['original', 'own', 'original inputs'] as const;

/**
 * Looks for settings of the solver that make the model better, by Bayesian optimisation (src/allocation/bayesian.ts)
 * from the settings as they are: every recipe tried compresses the whole model, which is evaluated on text that
 * calibration did not see. What the caller has set is not touched. A recipe takes the place of the first only when it
 * is better by more than the standard error of their difference, position by position.
 * @param count recipes tried, the first included
 * @returns options that give the chosen recipe, and what was tried
 * @throws TersorError when there is nothing left to tune
 */
export async function tune(
  context: Context,
  job: Job,
  options: CompressOptions,
  count: number,
  hooks: Hooks,
): Promise<{ readonly options: CompressOptions; readonly tuning: Tuning }> {
  const started = performance.now();
  const space = spaceOf(job.recipe, options);
  const store = await openStore(options.store ?? defaultStoreFolder);
  const compressor = createTrialCompressor(context, job, store, options, hooks);
  const types = new Map(job.assignments.map(({ spec, type }) => [spec, type]));
  const trials: (TunedRecipe & { readonly positions: Float32Array })[] = [];
  const measure = async (proposed: Settings) => {
    const chosen = rounded(proposed);
    const positions = await compressor.full(types, withSettings(job.recipe, chosen));
    const divergence = average(positions);
    trials.push({ settings: chosen, divergence, positions });
    hooks.progress?.('tune', trials.length, count);
    return divergence;
  };
  try {
    const start = settingsOf(job.recipe, space);
    const first = { settings: start, value: await measure(start) };
    const initial = Math.max(2, Math.ceil(count / 3));
    await optimise(space, measure, { evaluations: count, initial, seed: options.seed ?? 0 }, [first]);
  } finally {
    await compressor.release();
  }
  const [reference = new Float32Array()] = trials.map(({ positions }) => positions);
  const better = trials.flatMap(({ positions, divergence }, index) => {
    const { mean: change, standardError } = difference(positions, reference);
    return change < -standardError ? [{ index, divergence }] : [];
  });
  const chosen = better.toSorted((a, b) => a.divergence - b.divergence)[0]?.index ?? 0;
  const recipe = withSettings(job.recipe, trials[chosen]?.settings ?? {});
  return {
    options: {
      ...options,
      calibrateOn: recipe.calibrateOn,
      ...(recipe.match ? { match: recipe.match } : {}),
      ...(recipe.options ? { solverOptions: recipe.options } : {}),
    },
    tuning: {
      trials: trials.map(({ positions: _, ...trial }) => trial),
      chosen,
      tokens: reference.length,
      seconds: (performance.now() - started) / 1000,
    },
  };
}

/** Three digits are as good as all, and can be read. */
const rounded = (values: Settings): Settings =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === 'number' ? Number(value.toPrecision(3)) : value,
    ]),
  );

/** What may be tuned: settings that the solver has and the caller has not set. */
function spaceOf({ solver }: Recipe, { solverOptions = {}, calibrateOn, match }: CompressOptions): Space {
  const free = Object.entries(findSolver(solver).tunable).filter(([name]) => !(name in solverOptions));
  const inputs: Space = calibrateOn || match ? {} : { match: { kind: 'choice', values: matches } };
  const space = { ...Object.fromEntries(free), ...inputs };
  if (Object.keys(space).length > 0) return space;
  throw new TersorError(`${solver} has no settings left to tune`, {
    remedy: 'leave --tune out, or some of --solver-option, --calibrate-on and --match',
  });
}

/** The settings of a recipe, defaults filled in. */
function settingsOf({ solver, options = {}, match }: Recipe, space: Space): Settings {
  const complete = findSolver(solver).options.parse(options);
  const values = Object.keys(space).map((name) =>
    name === 'match' ? [name, match ?? 'original inputs'] : [name, complete[name]],
  );
  return Object.fromEntries(values);
}

/** The recipe with other settings. */
function withSettings({ match: before, ...recipe }: Recipe, { match, ...solver }: Settings): Recipe {
  const options = { ...recipe.options, ...solver };
  const own = Object.keys(options).length > 0 ? { options } : {};
  if (match === undefined) return { ...recipe, ...(before ? { match: before } : {}), ...own };
  if (match === 'original inputs') return { ...recipe, calibrateOn: 'original', ...own };
  const found = (['original', 'own'] as const).find((name) => name === match);
  return {
    ...recipe,
    calibrateOn: 'quantized',
    ...(found ? { match: found } : {}),
    ...own,
  };
}
