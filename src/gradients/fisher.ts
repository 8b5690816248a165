import { blockTensors, type TensorSpec } from '../architecture/architecture.js';
import { createForward } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { createBackward } from './backward.js';
import { createLosses, nextTokens } from './loss.js';
import { type BackwardState, recordInputs, walkBackward } from './walk-backward.js';

/** An occurrence that is counted for every token, so that those that the text lacks still matter a little. */
const prior = 0.5;

/**
 * How much the loss minds an error of each output of the linear layers, of an embedding each row: the diagonal of the
 * Fisher information of outputs, since an error δ of output r costs δ² F_r / 2 on average.
 *
 * Of a linear layer, F_r = Σ (∂ loss / ∂ y_r)² / tokens with the text's own next tokens (the empirical Fisher). Of a
 * head, the mean of p (1 − p) of its token; of an embedding how often its token occurs; of a matrix that is both, the mean
 * of the two, each with a mean of one. Scales of different tensors so cannot be compared.
 *
 * Needs the inputs of all blocks in memory: layers × tokens × hidden floats.
 * @param sequences text for gradients
 * @param counted text for counts of tokens
 */
export async function outputFisher(
  { architecture, readBlock }: Pick<Model, 'architecture' | 'readBlock'>,
  sequences: readonly Int32Array[],
  counted: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<ReadonlyMap<TensorSpec, Float32Array>> {
  const forward = createForward(architecture, options);
  const backward = createBackward(architecture, options);
  const losses = createLosses(architecture, options);
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  try {
    const outside = await readBlock(undefined);
    const { layers, vocabulary } = architecture;
    const embedded = await forward.embedAll(sequences, outside);
    const { inputs, outputs } = await recordInputs(forward, layers, embedded, readBlock);
    const head = new Float32Array(vocabulary);
    const upstream: Float32Array[] = [];
    let done = 0;
    for (const { batch, data } of outputs) {
      const texts = sequences.slice(done, done + batch.sequences);
      upstream.push((await losses.labels(data, nextTokens(texts), outside)).hidden);
      await losses.addSpread(data, outside, head);
      done += batch.sequences;
    }
    for (const [token, spread] of head.entries()) head[token] = spread / tokens;

    const result = new Map<TensorSpec, Float32Array>();
    const state: BackwardState = { weightsOf: readBlock, inputs, upstream };
    await walkBackward([state], 0, backward.squares, async (block, [passed = []]) => {
      for (const spec of blockTensors(architecture, block)) {
        for (const { squares } of passed) {
          const own = squares.get(spec.role);
          if (own) result.set(spec, added(result.get(spec), own, 1 / tokens));
        }
      }
    });
    for (const spec of blockTensors(architecture, undefined)) {
      if (spec.kind === 'head') result.set(spec, head);
      if (spec.kind !== 'embedding') continue;
      const counts = relative(countTokens(vocabulary, counted));
      result.set(spec, architecture.tied ? added(relative(head), counts, 1) : counts);
    }
    return result;
  } finally {
    await Promise.all([forward.release(), backward.release(), losses.release()]);
  }
}

function countTokens(vocabulary: number, sequences: readonly Int32Array[]): Float32Array {
  const counts = new Float32Array(vocabulary).fill(prior);
  for (const sequence of sequences) for (const id of sequence) counts[id] = (counts[id] ?? 0) + 1;
  return counts;
}

/** With a mean of one. */
function relative(values: Float32Array): Float32Array {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return mean > 0 ? values.map((value) => value / mean) : values;
}

const added = (sum: Float32Array | undefined, values: Float32Array, factor: number): Float32Array =>
  values.map((value, index) => (sum?.[index] ?? 0) + factor * value);
