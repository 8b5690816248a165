import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import type { CompressOptions } from '../options.js';
import { type Job, refuseProblems } from '../prepare/job.js';
import type { Prediction } from '../prepare/plan.js';
import { createAllocationMeasure } from './measure-allocation.js';
import { plannedTable } from './table/table.js';

/**
 * What a plan with a type for every tensor would lose, as searches for a size say it: all tensors solved on the original
 * model's activations and put together. Takes a pass over the calibration tokens of level tables, and GPTQ for each
 * tensor.
 * @throws TersorError when tensors do not fit their type
 */
export async function predictDivergence(
  context: Context,
  job: Job,
  options: CompressOptions,
  hooks: Hooks,
): Promise<Prediction> {
  refuseProblems(job);
  const table = await plannedTable(context, job, options, hooks);
  try {
    const measureAllocation = createAllocationMeasure(context, job.model, table, job.recipe);
    const { value, error } = await measureAllocation({
      levels: table.tensors.map(() => 0),
      bytes: 0,
      loss: 0,
    });
    const { objective } = job.model.architecture;
    return { objective, divergence: value, uncertainty: 2 * error };
  } finally {
    await table.evaluator.release();
  }
}
