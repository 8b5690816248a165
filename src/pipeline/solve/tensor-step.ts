import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { Rows } from '../../architecture/forward.js';
import { fromStored, toStored } from '../../architecture/stored-values.js';
import type { Moments } from '../../types.js';
import { checkAborted } from '../context/hooks.js';
import { embeddingAndHeadRecipe } from './embedding-and-head.js';
import { type Packed, unpackTensor } from './packed.js';
import type { Run } from './run.js';
import { compressTensor } from './tensor.js';

/** What is at hand when a tensor's turn comes. */
export interface TensorInputs {
  readonly moments?: Moments | undefined;
  /** What an earlier run made of it. */
  readonly known?: Packed | undefined;
  /** Values in the place of the checkpoint's. */
  readonly values?: Float32Array | undefined;
}

/**
 * Compresses one tensor, or takes over what an earlier run made of it, and writes it.
 * @returns what reads rows as the runtime will decode them
 */
export async function storeTensor(run: Run, spec: TensorSpec, inputs: TensorInputs = {}): Promise<Rows> {
  const { context, job, write, hooks } = run;
  const { time } = context.stopwatch;
  const assignment = run.assignment(spec);
  checkAborted(hooks);
  const { bytes, relativeError, rounded } =
    inputs.known ?? (await time('solve', () => solveTensor(run, spec, inputs)));
  await time('write', () => write(assignment.name, job.format.arrange(bytes, spec)));
  const routedTokens = inputs.moments?.routed;
  run.done(assignment, {
    bytes: bytes.length,
    relativeError,
    ...(rounded && { rounded }),
    ...(routedTokens !== undefined && { routedTokens }),
  });
  return async (from, to) => {
    const data = await time('read', () => unpackTensor(context.kernels, assignment, bytes, from, to));
    return job.format.storedValues && spec.stored ? fromStored(data, spec.stored) : data;
  };
}

/** Solves a tensor for its target: its own values, or what gives the original model's outputs. */
async function solveTensor(run: Run, spec: TensorSpec, { moments, values }: TensorInputs): Promise<Packed> {
  const { context, job, targets, journal } = run;
  const [, cols] = matrixShape(spec);
  const read: Rows = values
    ? async (from, to) => values.subarray(from * cols, to * cols)
    : run.original(spec);
  const target: Rows = async (from, to) => {
    const data = await read(from, to);
    if (job.format.storedValues && spec.stored) return toStored(data, spec.stored);
    if (!moments?.crossMoments) return data;
    return (await targets.of({ rows: to - from, cols, data }, moments)).data;
  };
  const assignment = run.assignment(spec);
  const recipe = spec.kind === 'linear' ? job.recipe : embeddingAndHeadRecipe(job.recipe);
  const solved = await compressTensor(context, assignment, target, moments, recipe, {
    inputs: job.importance?.of(spec),
    original: values || moments?.crossMoments ? run.original(spec) : undefined,
    rows: run.importanceOfRows.get(spec),
  });
  await context.stopwatch.time('write', () => journal.put(assignment, solved));
  return solved;
}
