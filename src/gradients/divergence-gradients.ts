import type { TensorSpec } from '../architecture/architecture.js';
import { createForward } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import { createArithmetic } from '../graph/arithmetic.js';
import { required } from '../required.js';
import { createGemm } from '../runtime/gemm.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { addLayerGradient, type BackwardPass, createBackward, type LayerGradients } from './backward.js';
import { createLosses } from './loss.js';
import { type BackwardState, recordInputs, walkBackward } from './walk-backward.js';
import { usesOf } from './weight-gradients.js';

/** A changed model, on the way from its end to its beginning. */
export interface ChangedModel extends BackwardState {
  /** Gradient of the head's weight, where it was wanted. */
  readonly table?: Float32Array | undefined;
}

/** Gradients of the divergence of changed models from the original, summed over all tokens (of an encoder: texts). */
export interface DivergenceGradients {
  /** Tokens, or texts. */
  readonly count: number;
  /**
   * Takes the text through a model whose weights differ from the original's in blocks `from` and later, or anywhere.
   * @param table whether the gradient of the head's weight is wanted; then weights outside the blocks may differ, too
   */
  open(
    weightsOf: ChangedModel['weightsOf'],
    wanted: { readonly from: number; readonly table: boolean },
  ): Promise<ChangedModel>;
  /**
   * Takes the models' gradients back to the inputs of block `to`.
   * @param wanted whether the layers of a block are; `visit` is called behind each such block
   */
  descend(
    models: readonly ChangedModel[],
    to: number,
    wanted: (block: number) => boolean,
    visit: (block: number, gradients: BlockGradients) => Promise<void>,
  ): Promise<void>;
  /** Of a weight of a block, first model less second. */
  layerDifference(spec: TensorSpec, gradients: BlockGradients): Promise<Float32Array>;
  /** The same of the embedding's or the head's weight, once the models are back at the first block. */
  tableDifference(spec: TensorSpec, models: readonly ChangedModel[]): Promise<Float32Array>;
  release(): Promise<void>;
}

/** Of the linear layers of a block, by model and batch. */
type BlockGradients = readonly (readonly LayerGradients[])[];

/** The original's predictions are kept up to this size; what is beyond is computed anew each time. */
const rememberedBytes = 2 ** 28;

/** Keeps what enters the original's blocks in memory: layers × tokens × hidden floats. */
export async function createDivergenceGradients(
  { architecture, readBlock }: Pick<Model, 'architecture' | 'readBlock'>,
  texts: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<DivergenceGradients> {
  const forward = createForward(architecture, options);
  const backward = createBackward(architecture, options);
  const losses = createLosses(architecture, options);
  const arithmetic = createArithmetic(options);
  const gemm = createGemm(options);
  const { layers, vocabulary } = architecture;
  const isEncoder = architecture.objective === 'embedding';
  const sequences = texts.toSorted((a, b) => a.length - b.length);
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);

  const outside = await readBlock(undefined);
  const original = await recordInputs(forward, layers, await forward.embedAll(sequences, outside), readBlock);
  const targets: Float32Array[] = [];
  if (!isEncoder && 4 * tokens * vocabulary <= rememberedBytes)
    for (const { data } of original.outputs) targets.push(await losses.predict(data, outside));

  return {
    count: isEncoder ? sequences.length : tokens,
    async open(weightsOf, { from, table: withTable }) {
      const weights = await weightsOf(undefined);
      const hidden = withTable ? await forward.embedAll(sequences, weights) : required(original.inputs, from);
      const { inputs, outputs } = await recordInputs(forward, layers, hidden, weightsOf, from);
      const upstream: Float32Array[] = [];
      let table: Float32Array | undefined;
      for (const [index, states] of outputs.entries()) {
        const before = { hidden: required(original.outputs, index), outside, target: targets[index] };
        const found = await losses.divergence(states, weights, before, { table: withTable });
        upstream.push(found.hidden);
        if (found.table) table = table ? await arithmetic.plus(table, 1, found.table) : found.table;
      }
      return { weightsOf, inputs, upstream, table };
    },

    async descend(models, to, wanted, visit) {
      const none: LayerGradients = new Map();
      const pass = async (batch: BackwardPass) =>
        wanted(batch.block) ? backward.layers(batch) : { ...(await backward.through(batch)), layers: none };
      await walkBackward(models, to, pass, async (block, passed) => {
        if (wanted(block)) {
          await visit(
            block,
            passed.map((batches) => batches.map(({ layers }) => layers)),
          );
        }
      });
    },

    async layerDifference(spec, gradients) {
      let sum: Float32Array | undefined;
      for (const [index, batches] of gradients.entries()) {
        const factor = index === 0 ? 1 : -1;
        for (const batch of batches) sum = await addLayerGradient(gemm, spec, batch, { factor, sum });
      }
      if (!sum) throw new Error('there is no text');
      return sum;
    },

    async tableDifference(spec, models) {
      const [isEmbedding, isHead] = usesOf(architecture, spec);
      const gradients: Float32Array[] = [];
      for (const { table, upstream, weightsOf } of models) {
        const gradient = (isHead && table) || new Float32Array(required(outside, spec.role).length);
        const weights = await weightsOf(undefined);
        let at = 0;
        for (const [index, { batch }] of isEmbedding ? original.outputs.entries() : []) {
          const own = sequences.slice(at, at + batch.sequences);
          at += batch.sequences;
          await backward.addEmbedding(own, batch, required(upstream, index), weights, gradient);
        }
        gradients.push(gradient);
      }
      return arithmetic.plus(required(gradients, 0), -1, required(gradients, 1));
    },

    async release() {
      const parts = [forward, backward, losses, arithmetic, gemm];
      await Promise.all(parts.map((part) => part.release()));
    },
  };
}
