import { blockTensors, matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { Rows } from '../../architecture/forward.js';
import { rowsInUse, usedTokens } from '../../architecture/used-tokens.js';
import type { ActivationCache } from '../../calibration/activation-cache.js';
import type { SiteMoments } from '../../calibration/site-moments.js';
import { type BlockVisitor, type States, walkModel } from '../../calibration/walk-model.js';
import { isCoded } from '../../grid/grid.js';
import { required } from '../../required.js';
import type { Context } from '../context/context.js';
import type { CompressedTensor } from '../measure/result.js';
import type { Assignment } from '../prepare/plan.js';
import { tokenEmbeddingMoments } from './embedding-and-head.js';
import { correctableBias, correctedBias } from './layer-bias.js';
import type { Packed } from './packed.js';
import { createPasses, type Passes, shrinkageOf } from './passes.js';
import { warnOfRareExperts } from './rare-experts.js';
import { type BlocksJob, type Run, type RunOutput, startRun } from './run.js';
import { siteTargets } from './site-targets.js';
import { storeTensor } from './tensor-step.js';

/**
 * Block after block: moments at each site of the block (by default with everything before the site already
 * compressed), then its weights, until the block is done and its outputs feed the next. The embedding comes first; a
 * head of its own is the last linear layer, with the moments of what comes out of the blocks. With an importance matrix
 * in the place of calibration nothing passes through the blocks.
 * @param cache where activations wait between two parts of a block; the caller's to close
 */
export async function compressBlocks(
  context: Context,
  job: BlocksJob,
  output: RunOutput,
  cache?: ActivationCache,
): Promise<CompressedTensor[]> {
  const { model, assignments, recipe } = job;
  const { architecture } = model;
  const run = await startRun(context, job, output);
  const passes = createPasses(context, architecture, { cache, shrinkage: shrinkageOf(recipe) });
  const outside: Outside = { original: {}, decoded: {} };
  await walkModel(architecture, passes.calibrator, {
    embedding: () => compressEmbedding(run, passes, outside),
    block: (block, states) => blockVisitor(run, block, states),
    async head(moments) {
      for (const spec of blockTensors(architecture, undefined).filter(({ kind }) => kind === 'head')) {
        const known = await output.journal.find(run.assignment(spec));
        const weights = recipe.calibrateOn === 'quantized' ? outside.decoded : outside.original;
        await storeTensor(run, spec, {
          known,
          moments: wantsMoments(run, spec, known) ? await moments(weights, outside.original) : undefined,
        });
      }
    },
  });
  await Promise.all([passes.release(), run.release()]);
  warnOfRareExperts(run);
  const order = new Map(assignments.map(({ name }, index) => [name, index]));
  return run.results.sort((a, b) => required(order, a.name) - required(order, b.name));
}

/** By role: what lies outside the blocks, of the embedding what the texts use, and of a head of its own nothing. */
interface Outside {
  readonly original: Record<string, Float32Array>;
  readonly decoded: Record<string, Float32Array>;
}

/** Compresses what lies in front of the blocks, and embeds the texts with it. */
async function compressEmbedding(run: Run, passes: Passes, outside: Outside): Promise<States> {
  const { context, job, write, journal } = run;
  const { model, assignments, recipe, calibration, importance, format } = job;
  const { architecture } = model;
  const texts = usedTokens(calibration.sequences);
  const inUse = (spec: TensorSpec, rows: Rows) =>
    spec.kind === 'embedding' ? rowsInUse(texts.tokens, matrixShape(spec)[1], rows) : wholeOf(spec, rows)();
  const specs = blockTensors(architecture, undefined).filter(({ kind }) => kind !== 'head');
  for (const spec of specs) outside.original[spec.role] = await inUse(spec, run.original(spec));
  for (const spec of specs) {
    const known = await journal.find(run.assignment(spec));
    const moments =
      spec.kind === 'embedding' && wantsMoments(run, spec, known)
        ? await tokenEmbeddingMoments(context, model, texts.sequences, outside.original, shrinkageOf(recipe))
        : undefined;
    outside.decoded[spec.role] = await inUse(spec, await storeTensor(run, spec, { moments, known }));
  }
  for (const { name, data } of format.extras(architecture))
    await write(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));

  if (importance || !needsCalibration(assignments)) return { hidden: [] };
  const embed = (weights: Record<string, Float32Array>) => passes.embed(texts.sequences, weights);
  return {
    hidden: await embed(recipe.calibrateOn === 'quantized' ? outside.decoded : outside.original),
    original: recipe.match === 'original' ? await embed(outside.original) : undefined,
  };
}

/** Compresses the layers of a block at their sites, and what the block has beside them behind it. */
async function blockVisitor(run: Run, block: number, states: States): Promise<BlockVisitor> {
  const { job, journal, correction } = run;
  const specs = blockTensors(job.model.architecture, block);
  const weights: Record<string, () => Promise<Float32Array>> = {};
  for (const spec of specs) weights[spec.role] = wholeOf(spec, run.original(spec));
  const known = new Map<TensorSpec, Packed>();
  for (const spec of specs) {
    const packed = await journal.find(run.assignment(spec));
    if (packed) known.set(spec, packed);
  }
  const onQuantized = job.recipe.calibrateOn === 'quantized';
  const biases = new Map<TensorSpec, Float32Array>();
  const biasOf = (layer: TensorSpec) => correctableBias(run, layer, specs);

  const compress = async (layer: TensorSpec, moments?: SiteMoments, values?: Float32Array) => {
    const bias = biasOf(layer);
    const about = moments && bias ? await correction.centred(moments) : moments;
    const decoded = await storeTensor(run, layer, { moments: about, known: known.get(layer), values });
    if (onQuantized) weights[layer.role] = wholeOf(layer, decoded);
    if (!bias || !moments?.means) return;
    const corrected = await correctedBias(run, { layer, bias, decoded }, moments.means);
    biases.set(bias, corrected);
    if (onQuantized) weights[bias.role] = async () => corrected;
  };
  return {
    weights,
    original: states.original && { ...weights },
    async site(layers, moments) {
      const unsolved = layers.filter((layer) => !known.has(layer));
      const targets = layers.some(biasOf) ? new Map() : await siteTargets(run, unsolved, moments);
      for (const layer of layers) {
        const target = targets.get(layer);
        targets.delete(layer);
        await compress(layer, moments, target);
      }
    },
    async skip(layers) {
      // Corrections of biases are not kept: they need the means of the inputs again.
      if (!layers.every((layer) => known.has(layer) && !biasOf(layer))) return false;
      for (const layer of layers) await compress(layer);
      return true;
    },
    async rest(others) {
      for (const spec of others) await storeTensor(run, spec, { values: biases.get(spec) });
    },
  };
}

/** Whether an embedding or a head is solved under moments. */
const wantsMoments = (run: Run, spec: TensorSpec, known: Packed | undefined): boolean =>
  isCoded(run.assignment(spec).grid) && !run.job.importance && !known;

const wholeOf = (spec: TensorSpec, rows: Rows) => () => rows(0, matrixShape(spec)[0]);

/** Whether states have to go through the blocks; the embedding has a pass of its own. */
const needsCalibration = (assignments: readonly Assignment[]) =>
  assignments.some(
    (each) => (each.spec.kind === 'linear' || each.spec.kind === 'head') && isCoded(each.grid),
  );
