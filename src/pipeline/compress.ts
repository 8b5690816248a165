import { basename } from 'node:path';
import { blockTensors } from '../architecture/architecture.js';
import { batches, createForward, type Hidden } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import { createCalibrator } from '../calibration/walk.js';
import { TersorError } from '../errors.js';
import type { Summary } from '../evaluation/summary.js';
import { requireLlama } from '../runtime/llama.js';
import { checkSolver } from '../solver/index.js';
import type { Moments } from '../types.js';
import { createGgufWriter, ggufSize } from '../writer/gguf.js';
import type { Metadata } from '../writer/metadata.js';
import { checkOutput } from '../writer/output.js';
import { type CalibrationText, calibrationText } from './calibration-text.js';
import { checkAborted, type Hooks } from './hooks.js';
import type { CompressOptions } from './options.js';
import { type Assignment, assign, type Plan, type PlannedTensor, requestedTypes } from './plan.js';
import { ggufMetadata, type Recipe } from './provenance.js';
import { compressTensor } from './tensor.js';
import { measure, type Verification, verify } from './verify.js';
import { type Workshop, withWorkshop } from './workshop.js';

export interface CompressedTensor {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  /** ε = tr(Δ H Δᵀ) / tr(W H Wᵀ); without moments (embedding, head) H = I. */
  readonly relativeError: number;
}

export interface CompressResult {
  readonly output: string;
  readonly bytes: number;
  readonly originalBytes: number;
  readonly bitsPerWeight: number;
  readonly seconds: number;
  readonly peakMemoryBytes: number;
  readonly tensors: readonly CompressedTensor[];
  /** The file as its own runtime sees it, against what tersor predicts of it. */
  readonly verified: Verification;
  /** The file against the original on text that calibration did not see. */
  readonly heldOut?: Summary;
}

/** What will happen, to the byte, without doing it. */
export function plan(options: CompressOptions, hooks: Hooks = {}): Promise<Plan> {
  return withWorkshop(options, hooks, async (shop) => (await prepare(shop, options, hooks)).plan);
}

/**
 * Compresses a model into one GGUF file: calibrates, solves and writes one block at a time, reopens the file
 * in llama.cpp, and measures what it lost.
 * @throws TersorError for bad input before anything is written, and when the written file does not behave in
 *   llama.cpp as tersor predicts
 */
export function compress(options: CompressOptions, hooks: Hooks = {}): Promise<CompressResult> {
  const started = performance.now();
  return withWorkshop(options, hooks, async (shop) => {
    requireLlama();
    await checkTarget(options.output);
    const job = await prepare(shop, options, hooks);
    refuseProblems(job);
    const writer = await createGgufWriter(options.output, job.header);
    try {
      const tensors = await compressBlocks(shop, job, (name, bytes) => writer.write(name, bytes), hooks);
      const { heldOut, checks } = texts(job);
      const verified: Verification[] = [];
      await writer.finish(async (path) => {
        verified.push(await verify(shop, path, checks, hooks));
      });
      const measured =
        heldOut.length > 0 ? await measure(shop, options.output, job.model, heldOut, hooks) : undefined;
      return {
        output: options.output,
        bytes: writer.bytes,
        originalBytes: job.plan.originalBytes,
        bitsPerWeight: job.plan.bitsPerWeight,
        seconds: (performance.now() - started) / 1000,
        peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
        tensors,
        verified: verified[0] as Verification,
        ...(measured ? { heldOut: measured } : {}),
      };
    } finally {
      await writer.abort();
    }
  });
}

async function checkTarget(output: string): Promise<void> {
  if (!output.endsWith('.gguf')) {
    throw new TersorError('tersor writes GGUF files only', {
      file: output,
      remedy: 'give a name that ends in .gguf',
    });
  }
  await checkOutput(output);
}

/** A job with every decision taken. */
interface Job {
  readonly model: Model;
  readonly plan: Plan;
  readonly assignments: readonly Assignment[];
  readonly header: { readonly metadata: Metadata; readonly tensors: readonly TensorHeader[] };
  readonly recipe: Recipe;
  readonly calibration: CalibrationText;
}

interface TensorHeader {
  readonly name: string;
  readonly shape: readonly number[];
  readonly type: string;
  readonly bytes: number;
}

async function prepare(shop: Workshop, options: CompressOptions, hooks: Hooks): Promise<Job> {
  const { solver = 'gptq', prefix = 'compressed', overrides = [], fallback, solverOptions, seed } = options;
  checkSolver(solver, solverOptions);
  const model = await shop.open(options.model);
  const { architecture, checkpoint } = model;
  const tokenizer = await shop.tokenizer(model);
  const types = requestedTypes(model, options, hooks.warn);
  const assignments = assign(model, types, options);
  const calibration = await calibrationText(options, model, tokenizer, hooks);
  const recipe: Recipe = {
    type: types.linear ?? 'f32',
    embedding: types.embedding ?? 'f32',
    ...(overrides.length > 0
      ? { overrides: Object.fromEntries(overrides.map(({ pattern, type }) => [pattern.source, type])) }
      : {}),
    ...(fallback ? { fallback } : {}),
    solver,
    ...(solverOptions ? { options: solverOptions } : {}),
    prefix,
    context: calibration.sequences[0]?.length ?? 0,
    tokens: calibration.tokens,
    ...(seed === undefined ? {} : { seed }),
  };
  const name = basename(checkpoint.path).replace(/\.(gguf|bin|safetensors)$/, '');
  const tensors: TensorHeader[] = [
    ...assignments.map(({ spec, type, bytes }) => ({
      name: spec.names.gguf,
      shape: spec.shape,
      type,
      bytes,
    })),
    ...architecture
      .ggufExtras()
      .map(({ name, shape, data }) => ({ name, shape, type: 'f32', bytes: data.byteLength })),
  ];
  const metadata = ggufMetadata(name, architecture, tokenizer.vocabulary, recipe, calibration);
  const stored = assignments.reduce((sum, { bytes }) => sum + bytes, 0);
  const elements = assignments.reduce((sum, tensor) => sum + tensor.elements, 0);
  return {
    model,
    assignments,
    header: { metadata, tensors },
    recipe,
    calibration,
    plan: {
      model: checkpoint.path,
      architecture: architecture.modelType,
      tensors: assignments.map(publicPart),
      problems: assignments
        .filter((tensor) => tensor.reason && tensor.type === tensor.requestedType)
        .map(publicPart),
      bytes: ggufSize(metadata, tensors),
      originalBytes: checkpoint.bytes,
      bitsPerWeight: (8 * stored) / elements,
    },
  };
}

function publicPart({ spec: _spec, grid: _grid, ...tensor }: Assignment): PlannedTensor {
  return tensor;
}

function refuseProblems({ plan: { problems, model } }: Job): void {
  const [first] = problems;
  if (!first) return;
  throw new TersorError(
    `${first.reason}${problems.length > 1 ? `, and so it is with ${problems.length - 1} more tensors` : ''}`,
    {
      file: model,
      tensor: first.name,
      remedy: 'give --fallback TYPE for them (such as iq4_nl or q8_0), or see --dry-run for the list',
    },
  );
}

/**
 * Block after block: moments at each site of the block (by default with everything before the site already
 * compressed), then its weights, until the block is done and its outputs feed the next.
 */
async function compressBlocks(
  shop: Workshop,
  { model, assignments, recipe, calibration }: Job,
  write: (name: string, bytes: Uint8Array) => Promise<void>,
  hooks: Hooks,
): Promise<CompressedTensor[]> {
  const { architecture } = model;
  const results: CompressedTensor[] = [];
  const byName = new Map(assignments.map((assignment) => [assignment.name, assignment]));
  const total = assignments.reduce((sum, { elements }) => sum + elements, 0);
  let done = 0;
  /** Compresses and writes one tensor; returns what the runtime will decode. */
  const store = async (assignment?: Assignment, weight?: Float32Array, moments?: Moments) => {
    if (!assignment || !weight) throw new Error('the block has a weight that the plan does not know');
    checkAborted(hooks);
    const { decoded, bytes, relativeError } = await compressTensor(shop, assignment, weight, moments, recipe);
    await write(assignment.name, bytes);
    const { name, type } = assignment;
    results.push({ name, type, bytes: bytes.length, relativeError });
    done += assignment.elements;
    hooks.progress?.('compress', done, total);
    return decoded;
  };
  const assigned = (block: number | undefined) =>
    blockTensors(architecture, block).map(({ role, names }) => ({
      role,
      assignment: byName.get(names.gguf),
    }));

  const outside = await model.readBlock(undefined);
  const compressedPrefix = recipe.prefix === 'compressed';
  const decoded = { ...outside };
  for (const { assignment, role } of assigned(undefined)) {
    decoded[role] = await store(assignment, outside[role]);
  }
  for (const { name, data } of architecture.ggufExtras()) {
    await write(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  const forward = createForward(architecture, shop);
  const calibrator = createCalibrator(architecture, shop);
  let hidden: Hidden[] = [];
  for (const batch of needsCalibration(assignments) ? batches(calibration.sequences) : []) {
    hidden.push(await forward.embed(batch, compressedPrefix ? decoded : outside));
  }
  for (let block = 0; block < architecture.layers; block++) {
    const weights = await model.readBlock(block);
    const left = new Map(assigned(block).map(({ assignment, role }) => [role, assignment]));
    hidden = await calibrator.walk(hidden, weights, async (roles, moments) => {
      for (const role of roles) {
        const result = await store(left.get(role), weights[role], moments);
        if (compressedPrefix) weights[role] = result;
        left.delete(role);
      }
    });
    for (const [role, assignment] of left) await store(assignment, weights[role]);
  }
  await calibrator.release();
  await forward.release();
  const order = new Map(assignments.map(({ name }, index) => [name, index]));
  return results.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0));
}

/** Types that store plain numbers lose so little that there is nothing to calibrate for. */
const needsCalibration = (assignments: readonly Assignment[]) =>
  assignments.some(({ spec, grid }) => spec.kind === 'linear' && grid.levels.kind !== 'cast');

/** Text for the two checks; a text too short to hold any of it back is checked on what was calibrated. */
function texts({ calibration }: Job): { heldOut: readonly Int32Array[]; checks: readonly Int32Array[] } {
  const { heldOut, sequences } = calibration;
  return { heldOut, checks: heldOut.length > 0 ? heldOut : sequences };
}
