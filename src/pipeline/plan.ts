import { TersorError } from '../errors.js';
import { withContext } from './context/context.js';
import type { Hooks } from './context/hooks.js';
import { isStacked } from './formats/stack/compress.js';
import type { CompressOptions } from './options.js';
import { type Estimate, estimate } from './prepare/estimate.js';
import type { Plan } from './prepare/plan.js';
import { prepare } from './prepare/prepare.js';
import { predict } from './search/predict.js';

/** What will happen, to the byte, without doing it; of the model's loss only with `predict` or a search. */
export function plan(
  options: CompressOptions,
  hooks: Hooks = {},
): Promise<Plan & { readonly estimate: Estimate }> {
  if (isStacked(options))
    throw new TersorError('a stacked file is planned by writing it, since its order is measured', {
      file: options.output,
      remedy: 'leave --dry-run out; any part of the finished file is a model',
    });
  return withContext(options, hooks, async (context) => {
    const job = await prepare(context, options, hooks);
    const prediction =
      options.predict && !job.plan.search ? await predict(context, job, options, hooks) : undefined;
    return {
      ...job.plan,
      ...(prediction ? { prediction } : {}),
      estimate: await estimate(context, job, options.memory),
    };
  });
}
