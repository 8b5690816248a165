import {
  type Architecture,
  type Batch,
  blockTensors,
  type TensorSpec,
} from '../architecture/architecture.js';
import { createForward, programCache } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import * as g from '../graph/build.js';
import { differentiate } from '../graph/differentiate.js';
import type { Value } from '../graph/value.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { linearLayers } from './backward.js';
import { createLosses, nextTokens } from './loss.js';

/** An occurrence that is counted for every token, so that those that the text lacks still matter a little. */
const prior = 0.5;

/**
 * How much the loss minds an error of each output of the linear layers, of an embedding each row: the diagonal of the
 * Fisher information of outputs, since an error δ of output r costs δ² F_r / 2 on average.
 *
 * Of a linear layer, F_r = Σ (∂ loss / ∂ y_r)² / tokens with the text's own next tokens (the empirical Fisher). Of a
 * head, the mean of p (1 − p) of its token; of an embedding how often its token occurs; of a table that is both, the mean
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
  const cache = programCache(options);
  const losses = createLosses(architecture, options);
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);
  try {
    const outside = await readBlock(undefined);
    const entrances = [await forward.embedAll(sequences, outside)];
    for (let block = 0; block < architecture.layers; block++) {
      entrances.push(await forward.blockAll(entrances[block] ?? [], await readBlock(block)));
    }
    const top = entrances[architecture.layers] ?? [];
    const head = new Float32Array(architecture.vocabulary);
    let gradients: Float32Array[] = [];
    let done = 0;
    for (const { batch, data } of top) {
      const texts = sequences.slice(done, done + batch.sequences);
      gradients.push((await losses.labels(data, nextTokens(texts), outside)).hidden);
      await losses.addSpread(data, outside, head);
      done += batch.sequences;
    }
    for (const [token, spread] of head.entries()) head[token] = spread / tokens;

    const result = new Map<TensorSpec, Float32Array>();
    for (let block = architecture.layers - 1; block >= 0; block--) {
      const weights = await readBlock(block);
      const specs = new Map(blockTensors(architecture, block).map((spec) => [spec.role, spec]));
      const next: Float32Array[] = [];
      for (const [index, { batch, data }] of (entrances[block] ?? []).entries()) {
        const program = await cache.get(`block ${batch.sequences} ${batch.length}`, () =>
          backward(architecture, batch),
        );
        const upstream = gradients[index] ?? new Float32Array();
        const { [entrance]: passed, ...squares } = await program.run({ ...weights, hidden: data, upstream });
        next.push(passed ?? new Float32Array());
        for (const [role, values] of Object.entries(squares)) {
          const spec = specs.get(role);
          if (spec) result.set(spec, added(result.get(spec), values, 1 / tokens));
        }
      }
      gradients = next;
    }
    for (const spec of blockTensors(architecture, undefined)) {
      if (spec.kind === 'head') result.set(spec, head);
      if (spec.kind !== 'embedding') continue;
      const counts = relative(countTokens(architecture.vocabulary, counted));
      result.set(spec, architecture.tied ? added(relative(head), counts, 1) : counts);
    }
    return result;
  } finally {
    await Promise.all([forward.release(), cache.release(), losses.release()]);
  }
}

/** Names of outputs that are not weights'. */
const entrance = 'gradient of hidden';

/** From the gradient of a block's outputs to that of its inputs, and sums of squares at its linear layers. */
function backward(architecture: Architecture, batch: Batch): Record<string, Value> {
  const hidden = g.input('hidden', [batch.sequences * batch.length, architecture.hidden]);
  const output = architecture.block(hidden, batch);
  const layers = linearLayers(output);
  const sources = [hidden, ...layers.map(({ value }) => value)];
  const [passed, ...own] = differentiate(output, g.input('upstream', hidden.shape), sources);
  const squares = own.map((gradient, index) => [
    layers[index]?.role ?? '',
    g.sum(g.mul(gradient, gradient), 0),
  ]);
  return { ...Object.fromEntries(squares), [entrance]: passed ?? hidden };
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
