import { blockTensors, matrixShape } from '../architecture/architecture.js';
import { createForward } from '../architecture/forward.js';
import { createTargets } from '../calibration/target.js';
import { createCalibrator, type Visit } from '../calibration/walk.js';
import { isCoded } from '../grid/grid.js';
import type { Moments } from '../types.js';
import { checkAborted, type Hooks } from './hooks.js';
import type { Job } from './job.js';
import type { Assignment } from './plan.js';
import { type Journal, noJournal, type Packed } from './resume.js';
import { rowImportance } from './rows.js';
import { slabRows } from './slab.js';
import { tableMoments, tableRecipe } from './tables.js';
import { type Compressed, compressTensor, unpackTensor } from './tensor.js';
import type { Workshop } from './workshop.js';

export interface CompressedTensor {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  /**
   * ε = tr(Δ H Δᵀ) / tr(W H Wᵀ). For an embedding H is what the first block makes of its errors, together with the
   * moments of the head's inputs where the head is the same table; without moments, H = I.
   */
  readonly relativeError: number;
}

/** What of a job decides on the weights. */
export type BlocksJob = Pick<
  Job,
  'model' | 'assignments' | 'recipe' | 'calibration' | 'importance' | 'format'
>;

/**
 * Block after block: moments at each site of the block (by default with everything before the site already
 * compressed), then its weights, until the block is done and its outputs feed the next. The embedding comes first; a
 * head of its own is the last linear layer, with the moments of what comes out of the blocks. With an importance matrix
 * in the place of calibration nothing passes through the blocks.
 */
export async function compressBlocks(
  shop: Workshop,
  { model, assignments, recipe, calibration, importance, format }: BlocksJob,
  write: (name: string, bytes: Uint8Array) => Promise<void>,
  hooks: Hooks,
  journal: Journal = noJournal,
): Promise<CompressedTensor[]> {
  const { architecture } = model;
  const { time } = shop.stopwatch;
  const results: CompressedTensor[] = [];
  const byName = new Map(assignments.map((assignment) => [assignment.name, assignment]));
  const total = assignments.reduce((sum, { elements }) => sum + elements, 0);
  let done = 0;
  const salience = await rowImportance(
    shop,
    model,
    assignments.map(({ grid }) => grid),
    calibration.sequences,
  );
  const forward = createForward(architecture, shop);
  const calibrator = createCalibrator(architecture, shop);
  const targets = createTargets(shop);

  /** Solves a tensor, or decodes what an earlier run made of it. */
  const solve = async (
    assignment: Assignment,
    weight: Float32Array,
    moments?: Moments,
    known?: Packed,
  ): Promise<Compressed> => {
    if (known) return { ...known, decoded: await unpackTensor(shop.kernels, assignment, known.bytes) };
    const solved = await compressTensor(
      shop,
      assignment,
      moments?.cross ? await target(assignment, weight, moments) : weight,
      moments,
      assignment.spec.kind === 'linear' ? recipe : tableRecipe(recipe),
      { inputs: importance?.of(assignment.spec), rows: salience.get(assignment.spec) },
    );
    await time('write', () => journal.put(assignment, solved));
    return solved;
  };
  /** Compresses and writes one tensor; returns what the runtime will decode. */
  const store = async (assignment?: Assignment, weight?: Float32Array, moments?: Moments, known?: Packed) => {
    if (!assignment || !weight) throw new Error('the block has a weight that the plan does not know');
    checkAborted(hooks);
    const { decoded, bytes, relativeError } = await time('solve', () =>
      solve(assignment, weight, moments, known),
    );
    await time('write', () => write(assignment.name, format.arrange(bytes, assignment.spec)));
    const { name, type } = assignment;
    results.push({ name, type, bytes: bytes.length, relativeError });
    done += assignment.elements;
    hooks.progress?.('compress', done, total);
    return decoded;
  };
  const target = async ({ spec }: Assignment, data: Float32Array, moments: Moments) => {
    const [rows, cols] = matrixShape(spec);
    const slab = spec.kind === 'linear' ? rows : Math.min(rows, slabRows(cols));
    if (slab === rows) return (await targets.of({ rows, cols, data }, moments)).data;
    const result = new Float32Array(data.length);
    for (let from = 0; from < rows; from += slab) {
      const part = data.subarray(from * cols, (from + slab) * cols);
      const found = await targets.of({ rows: part.length / cols, cols, data: part }, moments);
      result.set(found.data, from * cols);
    }
    return result;
  };
  const assigned = (block: number | undefined) =>
    blockTensors(architecture, block).map((spec) => ({
      role: spec.role,
      assignment: byName.get(format.nameOf(model, spec)),
    }));

  const outside = await time('read', () => model.readBlock(undefined));
  const decoded = { ...outside };
  const isHead = ({ assignment }: { assignment?: Assignment | undefined }) =>
    assignment?.spec.kind === 'head';
  for (const { assignment, role } of assigned(undefined).filter((each) => !isHead(each))) {
    const known = assignment && (await journal.find(assignment));
    const moments =
      assignment?.spec.kind === 'embedding' && isCoded(assignment.grid) && !importance && !known
        ? await tableMoments(shop, model, calibration.sequences, outside)
        : undefined;
    decoded[role] = await store(assignment, outside[role], moments, known);
  }
  for (const { name, data } of format.extras(architecture)) {
    await write(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }

  const embed = (table: Record<string, Float32Array>) =>
    time('calibrate', () => forward.embedAll(calibration.sequences, table));
  const compressedPrefix = recipe.prefix === 'compressed';
  const calibrated = !importance && needsCalibration(assignments);
  let hidden = calibrated ? await embed(compressedPrefix ? decoded : outside) : [];
  let original = calibrated && recipe.target === 'asymmetric' ? await embed(outside) : undefined;

  for (let block = 0; block < architecture.layers; block++) {
    const weights = await time('read', () => model.readBlock(block));
    const twin = original && { hidden: original, weights: { ...weights } };
    const left = new Map(assigned(block).map(({ assignment, role }) => [role, assignment]));
    const known = new Map<string, Packed>();
    for (const [role, assignment] of left) {
      const packed = assignment && (await journal.find(assignment));
      if (packed) known.set(role, packed);
    }
    const put = async (role: string, moments?: Moments) => {
      const result = await store(left.get(role), weights[role], moments, known.get(role));
      if (compressedPrefix) weights[role] = result;
      left.delete(role);
    };
    const visit: Visit = async (roles, moments) => {
      for (const role of roles) await put(role, moments);
    };
    const settle = async (roles: readonly string[]) => {
      if (!roles.every((role) => known.has(role))) return false;
      for (const role of roles) await put(role);
      return true;
    };
    const passed = await time('calibrate', () =>
      calibrator.walk({ hidden, weights }, visit, { original: twin, settle }),
    );
    [hidden, original] = [passed.output, passed.original];
    for (const [role, assignment] of left) await store(assignment, weights[role]);
  }
  for (const { assignment, role } of assigned(undefined).filter(isHead)) {
    const weights = compressedPrefix ? decoded : outside;
    const twin = original && { hidden: original, weights: outside };
    const known = assignment && (await journal.find(assignment));
    const moments =
      assignment && isCoded(assignment.grid) && !importance && !known
        ? await time('calibrate', () => calibrator.head({ hidden, weights }, twin))
        : undefined;
    await store(assignment, outside[role], moments, known);
  }
  await Promise.all([calibrator.release(), forward.release(), targets.release()]);
  const order = new Map(assignments.map(({ name }, index) => [name, index]));
  return results.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0));
}

/** Whether states have to go through the blocks; the embedding has a pass of its own. */
const needsCalibration = (assignments: readonly Assignment[]) =>
  assignments.some(
    (each) => (each.spec.kind === 'linear' || each.spec.kind === 'head') && isCoded(each.grid),
  );
