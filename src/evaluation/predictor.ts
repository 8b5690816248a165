import type { Architecture } from '../architecture/architecture.js';
import { createForward, type Forward, type Hidden } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import type { Arrays } from '../graph/program.js';
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
  let hidden = await forward.embedAll(sequences, outside);
  for (let block = 0; block < architecture.layers; block++) {
    options.progress?.('predict', block, architecture.layers);
    hidden = await forward.blockAll(hidden, await model.readBlock(block));
  }
  options.progress?.('predict', architecture.layers, architecture.layers);
  return { ...predictor(architecture, forward, hidden, outside), release: forward.release };
}

/** Predictions from what comes out of the last block. Does not release the forward pass. */
export function predictor(
  { vocabulary, hidden: width }: Architecture,
  forward: Forward,
  hidden: readonly Hidden[],
  outside: Arrays,
): Predictor {
  const perBatch = hidden[0]?.batch.sequences ?? 1;
  return {
    vocabulary,
    logits(sequence, from, to) {
      const states = hidden[Math.floor(sequence / perBatch)];
      if (!states) throw new Error(`there is no sequence ${sequence}`);
      const first = (sequence % perBatch) * states.batch.length;
      return forward.logits(states.data.subarray((first + from) * width, (first + to) * width), outside);
    },
    release: async () => {},
  };
}

/** The same predictions, kept once they were made, up to so many bytes: positions × vocabulary floats. */
export function remember(source: Predictor, bytes: number): Predictor {
  const known = new Map<string, Float32Array>();
  let left = bytes;
  return {
    ...source,
    async logits(sequence, from, to) {
      const key = `${sequence} ${from} ${to}`;
      const logits = known.get(key) ?? (await source.logits(sequence, from, to));
      if (!known.has(key) && logits.byteLength <= left) {
        known.set(key, logits);
        left -= logits.byteLength;
      }
      return logits;
    },
  };
}
