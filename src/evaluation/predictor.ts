import { batches, createForward, type Hidden } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Progress } from '../types.js';

/** Something that predicts next tokens: tersor's own forward pass, or a runtime that opened the file. */
export interface Predictor {
  readonly vocabulary: number;
  /** Logits of positions [from, to) of a sequence given to `prepare`, (to − from) × vocabulary. */
  logits(sequence: number, from: number, to: number): Promise<Float32Array>;
  release(): Promise<void>;
}

/**
 * tersor's own prediction: all sequences go through the model block by block, so that one block's weights
 * are in memory at a time; the last hidden states are kept, logits are made on demand.
 */
export async function predict(
  model: Model,
  sequences: readonly Int32Array[],
  options: RuntimeOptions & { readonly progress?: Progress } = {},
): Promise<Predictor> {
  const { architecture } = model;
  const forward = createForward(architecture, options);
  const outside = await model.readBlock(undefined);
  let hidden: Hidden[] = [];
  for (const batch of batches(sequences)) hidden.push(await forward.embed(batch, outside));
  for (let block = 0; block < architecture.layers; block++) {
    options.progress?.('predict', block, architecture.layers);
    const weights = await model.readBlock(block);
    const next: Hidden[] = [];
    for (const states of hidden) next.push(await forward.block(states, weights));
    hidden = next;
  }
  options.progress?.('predict', architecture.layers, architecture.layers);

  const perBatch = hidden[0]?.batch.sequences ?? 1;
  return {
    vocabulary: architecture.vocabulary,
    logits(sequence, from, to) {
      const states = hidden[Math.floor(sequence / perBatch)];
      if (!states) throw new Error(`there is no sequence ${sequence}`);
      const first = (sequence % perBatch) * states.batch.length;
      const rows = states.data.subarray(
        (first + from) * architecture.hidden,
        (first + to) * architecture.hidden,
      );
      return forward.logits(rows, outside);
    },
    release: forward.release,
  };
}
