import type { Hooks } from '../context/hooks.js';
import { type Job, refuseProblems } from '../prepare/job.js';
import { plannedTable } from './table/table.js';
import type { CompressOptions } from '../options.js';
import type { Prediction } from '../prepare/plan.js';
import type { Workshop } from '../context/context.js';
import { createJudge } from './measure-allocation.js';

/**
 * What a plan with a type for every tensor would lose, as searches for a size say it: all tensors solved on the original
 * model's activations and put together. Takes a pass over the calibration tokens of level tables, and GPTQ for each
 * tensor.
 * @throws TersorError when tensors do not fit their type
 */
export async function predict(
  shop: Workshop,
  job: Job,
  options: CompressOptions,
  hooks: Hooks,
): Promise<Prediction> {
  refuseProblems(job);
  const table = await plannedTable(shop, job, options, hooks);
  try {
    const judge = createJudge(shop, job.model, table, job.recipe);
    const { value, error } = await judge({ levels: table.tensors.map(() => 0), bytes: 0, damage: 0 });
    const { objective } = job.model.architecture;
    return { objective, divergence: value, uncertainty: 2 * error };
  } finally {
    await table.referee.release();
  }
}
