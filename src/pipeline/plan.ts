import { withContext } from './context/context.js';
import type { JobHooks } from './context/hooks.js';
import { planningSteps } from './context/steps.js';
import { findTypedFormat } from './formats/index.js';
import { checkTypeNames } from './formats/type-names.js';
import { type CompressOptions, isSearch, withRecipe } from './options.js';
import { type Estimate, estimate } from './prepare/estimate.js';
import type { Plan } from './prepare/plan.js';
import { prepare } from './prepare/prepare.js';
import { predictDivergence } from './search/predict-divergence.js';

/** What will happen, to the byte, without doing it; of the model's loss only with `predict` or a search. */
export function plan(
  options: CompressOptions,
  caller: JobHooks = {},
): Promise<Plan & { readonly estimate: Estimate }> {
  return withContext(options, caller, async (context, hooks) => {
    checkTypeNames(options, findTypedFormat(withRecipe(options)));
    const searched = isSearch(options) ? (options.search ?? '') : undefined;
    context.expect(planningSteps({ search: searched, tune: options.tune }));
    const { time } = context.stopwatch;
    const job = await time('prepare', () => prepare(context, options, hooks));
    const prediction =
      options.predict && !job.plan.search
        ? await time('plan', () => predictDivergence(context, job, options, hooks))
        : undefined;
    return {
      ...job.plan,
      ...(prediction ? { prediction } : {}),
      estimate: await estimate(context, job, options.memory),
    };
  });
}
