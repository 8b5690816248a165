import type { TensorSpec } from '../../architecture/architecture.js';
import type { Rows } from '../../architecture/forward.js';
import { createTargets, type Targets } from '../../calibration/target.js';
import { type BiasCorrection, createBiasCorrection } from '../../correction/bias.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import type { CompressedTensor } from '../measure/result.js';
import type { Job } from '../prepare/job.js';
import type { Assignment } from '../prepare/plan.js';
import type { Journal } from './resume.js';
import { type RowImportance, rowImportance } from './rows.js';

/** What of a job decides on the weights. */
export type BlocksJob = Pick<
  Job,
  'model' | 'assignments' | 'recipe' | 'calibration' | 'importance' | 'format'
>;

/** Where a compression's results go. */
export interface RunOutput {
  readonly write: (name: string, bytes: Uint8Array) => Promise<void>;
  readonly journal: Journal;
  readonly hooks: Hooks;
}

/** What the steps of one compression share. */
export interface Run extends RunOutput {
  readonly context: Context;
  readonly job: BlocksJob;
  readonly targets: Targets;
  readonly correction: BiasCorrection;
  readonly importanceOfRows: RowImportance;
  readonly results: CompressedTensor[];
  /** @throws for a tensor that the plan does not know */
  assignment(spec: TensorSpec): Assignment;
  /** Rows of a weight as the checkpoint has it. */
  original(spec: TensorSpec): Rows;
  /** Records a tensor that is written. */
  done(assignment: Assignment, tensor: Omit<CompressedTensor, 'name' | 'type'>): void;
  release(): Promise<void>;
}

export async function startRun(context: Context, job: BlocksJob, output: RunOutput): Promise<Run> {
  const { model, assignments, calibration } = job;
  const bySpec = new Map(assignments.map((assignment) => [assignment.spec, assignment]));
  const total = assignments.reduce((sum, { elements }) => sum + elements, 0);
  const grids = assignments.map(({ grid }) => grid);
  const importanceOfRows = await rowImportance(context, model, grids, calibration.sequences);
  const targets = createTargets(context);
  const correction = createBiasCorrection(context);
  const results: CompressedTensor[] = [];
  let elements = 0;
  return {
    ...output,
    context,
    job,
    targets,
    correction,
    importanceOfRows,
    results,
    assignment(spec) {
      const found = bySpec.get(spec);
      if (!found) throw new Error(`the plan does not know ${spec.names.gguf}`);
      return found;
    },
    original: (spec) => (from, to) => context.stopwatch.time('read', () => model.readRows(spec, from, to)),
    done(assignment, tensor) {
      const { name, type } = assignment;
      results.push({ name, type, ...tensor });
      elements += assignment.elements;
      output.hooks.progress?.('compress', elements, total);
    },
    async release() {
      await Promise.all([targets.release(), correction.release()]);
    },
  };
}
