import {
  type Architecture,
  blockTensors,
  largestBlock,
  type TensorSpec,
} from '../architecture/architecture.js';
import {
  createForward,
  embeddingOf,
  type Forward,
  type Hidden,
  headOf,
  largestTable,
  type Rows,
} from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import { rowsInUse, usedTokens } from '../architecture/used-tokens.js';
import type { Arrays } from '../graph/program.js';
import { collectGarbage } from '../runtime/garbage.js';
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
  const { outside, entrance, texts, table } = await readOutside(model, sequences);
  /** A function of its own, so that no weights of one block are still in memory at the next. */
  const through = async (block: number, hidden: readonly Hidden[]) =>
    forward.blockAll(block, hidden, await model.readBlock(block), { consume: true });
  const blockElements = largestBlock(architecture);
  let hidden = await forward.embedAll(texts, entrance);
  for (let block = 0; block < architecture.layers; block++) {
    options.progress?.('predict', block, architecture.layers);
    hidden = await through(block, hidden);
    collectGarbage(4 * blockElements);
  }
  options.progress?.('predict', architecture.layers, architecture.layers);
  return { ...predictor(architecture, forward, hidden, outside, table), release: forward.release };
}

/** Weights outside the blocks. Embeddings and heads that are too large are not held: of an embedding what the texts use, of a head nothing. */
async function readOutside(model: Model, sequences: readonly Int32Array[]) {
  const { architecture } = model;
  const [embedding, head] = [embeddingOf(architecture), headOf(architecture)];
  const elements = ({ shape }: TensorSpec) => shape.reduce((product, size) => product * size, 1);
  const isLarge = (spec: TensorSpec) =>
    (spec === embedding || spec === head) && elements(spec) > largestTable;
  const outside: Record<string, Float32Array> = {};
  for (const spec of blockTensors(architecture, undefined)) {
    if (!isLarge(spec)) outside[spec.role] = await model.read(spec);
  }
  const rowsOf =
    (spec: TensorSpec): Rows =>
    (from, to) =>
      model.readRows(spec, from, to);
  const table = head && isLarge(head) ? rowsOf(head) : undefined;
  if (!embedding || !isLarge(embedding)) return { outside, entrance: outside, texts: sequences, table };
  const { tokens, sequences: texts } = usedTokens(sequences);
  const used = await rowsInUse(tokens, architecture.hidden, rowsOf(embedding));
  return { outside, entrance: { ...outside, [embedding.role]: used }, texts, table };
}

/** Predictions from what comes out of the last block. Does not release the forward pass. */
export function predictor(
  { vocabulary, hidden: width }: Architecture,
  forward: Forward,
  hidden: readonly Hidden[],
  outside: Arrays,
  table?: Rows,
): Predictor {
  const perBatch = hidden[0]?.batch.sequences ?? 1;
  return {
    vocabulary,
    logits(sequence, from, to) {
      const states = hidden[Math.floor(sequence / perBatch)];
      if (!states) throw new Error(`there is no sequence ${sequence}`);
      const first = (sequence % perBatch) * states.batch.length;
      return forward.logits(
        states.data.subarray((first + from) * width, (first + to) * width),
        outside,
        table,
      );
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
