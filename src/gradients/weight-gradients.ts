import { type Architecture, blockTensors, type TensorSpec } from '../architecture/architecture.js';
import { createForward, embeddingOf, type Hidden, headOf } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import { TersorError } from '../errors.js';
import { createRandom } from '../random.js';
import { required } from '../required.js';
import { createGemm } from '../runtime/gemm.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { addLayerGradient, createBackward } from './backward.js';
import { createLosses, nextTokens } from './loss.js';
import { type BackwardState, recordInputs, walkBackward } from './walk-backward.js';

/** Gradients of one weight, sequence by sequence: computed when they are asked for, since all of them would be many. */
export interface SequenceGradients {
  readonly sequences: number;
  /** Predictions that the losses are sums over. */
  readonly tokens: number;
  /** Of Σ −log p(label) over the positions of one sequence; of the weight's shape. */
  of(sequence: number): Promise<Float32Array>;
}

/** What is predicted: the tokens that follow in the text, or others, drawn from the model's own predictions. */
export type Labels = 'text' | 'drawn';

/**
 * Gradients of the loss for every linear layer and every table, sequence by sequence, from the last block to the first.
 *
 * With the text's own tokens these are those of training: the empirical Fisher information is the mean of their squares.
 * With drawn ones the mean over draws is 0 and that of their squares the Fisher information itself, which is the Hessian
 * of the divergence from the model (Martens, 2014, arXiv:1412.1193); those of one sequence's positions are
 * uncorrelated, so that the square of their sum has the mean of the sum of squares.
 *
 * Needs the inputs of all blocks in memory: layers × tokens × hidden floats.
 * @throws TersorError for an encoder, which predicts no tokens
 */
export async function weightGradients(
  { architecture, readBlock }: Pick<Model, 'architecture' | 'readBlock'>,
  sequences: readonly Int32Array[],
  labels: Labels,
  visit: (spec: TensorSpec, gradients: SequenceGradients) => Promise<void>,
  { seed = 0, ...options }: RuntimeOptions & { readonly seed?: number } = {},
): Promise<void> {
  if (architecture.objective !== 'prediction') {
    throw new TersorError('an encoder predicts no tokens that its loss could be the gradient of', {
      code: 'unsupported',
      remedy: 'choose another measure with --sensitivity, such as trace or divergence',
    });
  }
  const forward = createForward(architecture, options);
  const backward = createBackward(architecture, options);
  const losses = createLosses(architecture, options);
  const gemm = createGemm(options);
  const random = createRandom(seed);
  try {
    const outside = await readBlock(undefined);
    // One by one, so that no batch mixes sequences.
    const embedded: Hidden[] = [];
    for (const sequence of sequences) embedded.push(await forward.embed([sequence], outside));
    const { layers } = architecture;
    const { inputs, outputs } = await recordInputs(forward, layers, embedded, readBlock);
    const labelled: Int32Array[] = [];
    const atOutputs: Float32Array[] = [];
    for (const [index, { data }] of outputs.entries()) {
      const own =
        labels === 'drawn'
          ? await losses.draw(data, outside, random)
          : nextTokens(sequences.slice(index, index + 1));
      labelled.push(own);
      atOutputs.push((await losses.labels(data, own, outside)).hidden);
    }
    const tokens = labelled.reduce((sum, own) => sum + own.filter((label) => label >= 0).length, 0);
    const count = { sequences: sequences.length, tokens };
    const state: BackwardState = { weightsOf: readBlock, inputs, upstream: atOutputs };

    await walkBackward([state], 0, backward.layers, async (block, [passed = []]) => {
      for (const spec of blockTensors(architecture, block).filter(({ kind }) => kind === 'linear')) {
        const of = async (sequence: number) =>
          addLayerGradient(gemm, spec, required(passed, sequence).layers);
        await visit(spec, { ...count, of });
      }
    });
    for (const spec of embeddingAndHead(architecture)) {
      const [isEmbedding, isHead] = usesOf(architecture, spec);
      const of = async (sequence: number) => {
        const { data, batch } = required(outputs, sequence);
        const wanted = { table: true };
        const { table } = isHead
          ? await losses.labels(data, required(labelled, sequence), outside, wanted)
          : {};
        const gradient = table ?? new Float32Array(required(outside, spec.role).length);
        const entered = required(state.upstream, sequence);
        const texts = [required(sequences, sequence)];
        if (isEmbedding) await backward.addEmbedding(texts, batch, entered, outside, gradient);
        return gradient;
      };
      await visit(spec, { ...count, of });
    }
  } finally {
    await Promise.all([forward.release(), backward.release(), losses.release(), gemm.release()]);
  }
}

/** Embedding and head, which may be one matrix. */
export const embeddingAndHead = (architecture: Architecture): TensorSpec[] =>
  blockTensors(architecture, undefined).filter(({ kind }) => kind === 'embedding' || kind === 'head');

/** Whether a table is looked up at the beginning, and whether it is multiplied with at the end. */
export const usesOf = (architecture: Architecture, spec: TensorSpec): [embedding: boolean, head: boolean] => [
  spec === embeddingOf(architecture),
  spec === headOf(architecture) && architecture.objective === 'prediction',
];
