import { blockTensors, matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import { createForward, type Rows } from '../../architecture/forward.js';
import { rowsInUse, usedTokens } from '../../architecture/used-tokens.js';
import { type ActivationCache, createActivationCache } from '../../calibration/activation-cache.js';
import { createTargets } from '../../calibration/target.js';
import { createCalibrator, type SiteMoments, type Visit } from '../../calibration/walk.js';
import { product } from '../../checkpoint/decode.js';
import { createBiasCorrection } from '../../correction/bias.js';
import { isCoded } from '../../grid/grid.js';
import { collectGarbage } from '../../runtime/garbage.js';
import type { Moments } from '../../types.js';
import type { Context } from '../context/context.js';
import { checkAborted, type Hooks } from '../context/hooks.js';
import type { Job } from '../prepare/job.js';
import type { Assignment } from '../prepare/plan.js';
import { unpackTensor } from './compressed.js';
import { embeddingAndHeadRecipe, tokenEmbeddingMoments } from './embedding-and-head.js';
import { type Journal, noJournal, type Packed } from './resume.js';
import { rowImportance } from './rows.js';
import { slabRows } from './slab.js';
import { compressTensor } from './tensor.js';

export interface CompressedTensor {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  /**
   * ε = tr(Δ H Δᵀ) / tr(W H Wᵀ). For an embedding H is what the first block makes of its errors, together with the
   * moments of the head's inputs where the head is the same table; without moments, H = I. Of a layer whose bias takes
   * the means of errors, H is the moment about the mean.
   */
  readonly relativeError: number;
}

/** What of a job decides on the weights. */
export type BlocksJob = Pick<
  Job,
  'model' | 'assignments' | 'recipe' | 'calibration' | 'importance' | 'format'
>;

export interface BlocksOptions {
  readonly journal?: Journal;
  /** Where activations wait between two parts of a block; the caller's to close. */
  readonly activationCache?: ActivationCache;
}

/**
 * Block after block: moments at each site of the block (by default with everything before the site already
 * compressed), then its weights, until the block is done and its outputs feed the next. The embedding comes first; a
 * head of its own is the last linear layer, with the moments of what comes out of the blocks. With an importance matrix
 * in the place of calibration nothing passes through the blocks.
 */
export async function compressBlocks(
  context: Context,
  { model, assignments, recipe, calibration, importance, format }: BlocksJob,
  write: (name: string, bytes: Uint8Array) => Promise<void>,
  hooks: Hooks,
  { journal = noJournal, activationCache = createActivationCache() }: BlocksOptions = {},
): Promise<CompressedTensor[]> {
  const { architecture } = model;
  const { time } = context.stopwatch;
  const results: CompressedTensor[] = [];
  const byName = new Map(assignments.map((assignment) => [assignment.name, assignment]));
  const total = assignments.reduce((sum, { elements }) => sum + elements, 0);
  let done = 0;
  const importanceOfRows = await rowImportance(
    context,
    model,
    assignments.map(({ grid }) => grid),
    calibration.sequences,
  );
  const forward = createForward(architecture, context);
  const calibrator = createCalibrator(architecture, context, activationCache);
  const targets = createTargets(context);
  const correction = createBiasCorrection(context);

  /** Solves a tensor, or takes over what an earlier run made of it. */
  const solve = async (
    assignment: Assignment,
    read: Rows,
    moments?: Moments,
    known?: Packed,
  ): Promise<Packed> => {
    if (known) return known;
    const { spec } = assignment;
    const [, cols] = matrixShape(spec);
    const target = async (from: number, to: number) => {
      const data = await read(from, to);
      return moments?.crossMoments ? (await targets.of({ rows: to - from, cols, data }, moments)).data : data;
    };
    const solved = await compressTensor(
      context,
      assignment,
      target,
      moments,
      spec.kind === 'linear' ? recipe : embeddingAndHeadRecipe(recipe),
      { inputs: importance?.of(spec), rows: importanceOfRows.get(spec) },
    );
    await time('write', () => journal.put(assignment, solved));
    return solved;
  };
  /**
   * Compresses and writes one tensor; returns what reads rows as the runtime will decode them.
   * @param changed in the place of what the checkpoint has
   */
  const store = async (
    assignment?: Assignment,
    moments?: Moments,
    known?: Packed,
    changed?: Float32Array,
  ): Promise<Rows> => {
    if (!assignment) throw new Error('the block has a weight that the plan does not know');
    checkAborted(hooks);
    const [, cols] = matrixShape(assignment.spec);
    const read: Rows = changed
      ? async (from, to) => changed.subarray(from * cols, to * cols)
      : original(assignment.spec);
    const { bytes, relativeError } = await time('solve', () => solve(assignment, read, moments, known));
    await time('write', () => write(assignment.name, format.arrange(bytes, assignment.spec)));
    const { name, type } = assignment;
    results.push({ name, type, bytes: bytes.length, relativeError });
    done += assignment.elements;
    hooks.progress?.('compress', done, total);
    return (from, to) => time('read', () => unpackTensor(context.kernels, assignment, bytes, from, to));
  };
  /** Rows of a weight as the checkpoint has it. */
  const original =
    (spec: TensorSpec): Rows =>
    (from, to) =>
      time('read', () => model.readRows(spec, from, to));
  const assigned = (block: number | undefined) =>
    blockTensors(architecture, block).map((spec) => ({
      spec,
      role: spec.role,
      assignment: byName.get(format.nameOf(model, spec)),
    }));
  const all = (spec: TensorSpec, rows: Rows) => () => rows(0, matrixShape(spec)[0]);
  const correctBias = async (
    spec: TensorSpec,
    bias: TensorSpec,
    decode: Rows,
    means: NonNullable<Moments['means']>,
  ) => {
    const [rows, cols] = matrixShape(spec);
    const weight = { rows, cols, data: await all(spec, original(spec))() };
    const before = await all(bias, original(bias))();
    return correction.bias(weight, await all(spec, decode)(), before, means);
  };

  const texts = usedTokens(calibration.sequences);
  /** What lies outside the blocks, of the embedding what the texts use, and of a head of its own nothing. */
  const outside: Record<string, Float32Array> = {};
  const decoded: Record<string, Float32Array> = {};
  const inUse = (spec: TensorSpec, rows: Rows) =>
    spec.kind === 'embedding' ? rowsInUse(texts.tokens, architecture.hidden, rows) : all(spec, rows)();
  const entering = assigned(undefined).filter(({ spec }) => spec.kind !== 'head');
  for (const { spec, role } of entering) outside[role] = await inUse(spec, original(spec));
  for (const { spec, role, assignment } of entering) {
    const known = assignment && (await journal.find(assignment));
    const moments =
      assignment && spec.kind === 'embedding' && isCoded(assignment.grid) && !importance && !known
        ? await tokenEmbeddingMoments(context, model, texts.sequences, outside)
        : undefined;
    decoded[role] = await inUse(spec, await store(assignment, moments, known));
  }
  for (const { name, data } of format.extras(architecture)) {
    await write(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  const embed = (weights: Record<string, Float32Array>) =>
    time('calibrate', () => forward.embedAll(texts.sequences, weights, activationCache.keep));
  const onQuantized = recipe.calibrateOn === 'quantized';
  const calibrated = !importance && needsCalibration(assignments);
  let hidden = calibrated ? await embed(onQuantized ? decoded : outside) : [];
  let originalStates = calibrated && recipe.match === 'original' ? await embed(outside) : undefined;

  for (let block = 0; block < architecture.layers; block++) {
    const weights: Record<string, () => Promise<Float32Array>> = {};
    for (const { spec, role } of assigned(block)) weights[role] = all(spec, original(spec));
    const originalPassage = originalStates && { hidden: originalStates, weights: { ...weights } };
    const left = new Map(assigned(block).map(({ assignment, role }) => [role, assignment]));
    const known = new Map<string, Packed>();
    for (const [role, assignment] of left) {
      const packed = assignment && (await journal.find(assignment));
      if (packed) known.set(role, packed);
    }
    const corrected = new Map<string, Float32Array>();
    const put = async (role: string, moments?: Moments, target?: Float32Array) => {
      const [assignment, bias] = [left.get(role), adjustable(role)];
      const about = moments && bias ? await correction.centred(moments) : moments;
      const rows = await store(assignment, about, known.get(role), target);
      if (onQuantized && assignment) weights[role] = all(assignment.spec, rows);
      left.delete(role);
      if (!assignment || !bias || !moments?.means) return;
      const after = await correctBias(assignment.spec, bias.spec, rows, moments.means);
      corrected.set(bias.spec.role, after);
      if (onQuantized) weights[bias.spec.role] = async () => after;
    };
    /** The bias of a layer, if it has one and may take what the layer's codes do to the means. */
    const adjustable = (role: string): Assignment | undefined => {
      const coded = left.get(role);
      return recipe.bias !== 'kept' && coded && isCoded(coded.grid) ? left.get(biasOf(role)) : undefined;
    };
    /**
     * What layers are solved for, where all at a site together take less memory than the crossMoments that it is made from, which
     * can then go.
     */
    const targetsOf = async (roles: readonly string[], moments: SiteMoments) => {
      const specs = roles.flatMap((role) => (known.has(role) ? [] : (left.get(role)?.spec ?? [])));
      const elements = specs.reduce((sum, { shape }) => sum + product(shape), 0);
      const made = new Map<string, Float32Array>();
      if (!moments.crossMoments || elements >= moments.crossMoments.data.length || roles.some(adjustable))
        return made;
      for (const spec of specs) {
        const [rows, cols] = matrixShape(spec);
        const target = new Float32Array(rows * cols);
        for (let from = 0; from < rows; from += slabRows(cols)) {
          const to = Math.min(rows, from + slabRows(cols));
          const weight = { rows: to - from, cols, data: await original(spec)(from, to) };
          const { data } = await time('solve', () => targets.of(weight, moments));
          target.set(data, from * cols);
        }
        made.set(spec.role, target);
      }
      delete moments.crossMoments;
      collectGarbage(4 * elements);
      return made;
    };
    const visit: Visit = async (roles, moments) => {
      const made = await targetsOf(roles, moments);
      for (const role of roles) {
        const target = made.get(role);
        made.delete(role);
        await put(role, moments, target);
      }
    };
    const settle = async (roles: readonly string[]) => {
      // Corrections of biases are not kept: they need the means of the inputs again.
      if (!roles.every((role) => known.has(role) && !adjustable(role))) return false;
      for (const role of roles) await put(role);
      return true;
    };
    const passed = await time('calibrate', () =>
      calibrator.walk({ hidden, weights }, visit, { original: originalPassage, settle }),
    );
    [hidden, originalStates] = [passed.output, passed.original];
    for (const [role, assignment] of left) await store(assignment, undefined, undefined, corrected.get(role));
  }
  for (const { assignment } of assigned(undefined).filter(({ spec }) => spec.kind === 'head')) {
    const weights = onQuantized ? decoded : outside;
    const originalPassage = originalStates && { hidden: originalStates, weights: outside };
    const known = assignment && (await journal.find(assignment));
    const moments =
      assignment && isCoded(assignment.grid) && !importance && !known
        ? await time('calibrate', () => calibrator.head({ hidden, weights }, originalPassage))
        : undefined;
    await store(assignment, moments, known);
  }
  await Promise.all([calibrator.release(), forward.release(), targets.release(), correction.release()]);
  const order = new Map(assignments.map(({ name }, index) => [name, index]));
  return results.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0));
}

const biasOf = (role: string) => role.replace(/weight$/, 'bias');

/** Whether states have to go through the blocks; the embedding has a pass of its own. */
const needsCalibration = (assignments: readonly Assignment[]) =>
  assignments.some(
    (each) => (each.spec.kind === 'linear' || each.spec.kind === 'head') && isCoded(each.grid),
  );
