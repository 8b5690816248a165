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

/** Positions [from, to) of a sequence. */
export interface Span {
  readonly sequence: number;
  readonly from: number;
  readonly to: number;
}

/** Something that predicts next tokens: tersor's own forward pass, or a runtime that opened the file. */
export interface Predictor {
  readonly vocabulary: number;
  /** Logits of positions [from, to) of a sequence given to `prepare`, (to − from) × vocabulary. */
  logits(sequence: number, from: number, to: number): Promise<Float32Array>;
  /**
   * Where a head is too large to be held, logits of many positions for the tokens [from, to) of the vocabulary, so that
   * its rows are read once for all of them.
   * @returns positions × tokens
   */
  readonly part?: (spans: readonly Span[], from: number, to: number) => Promise<Float32Array>;
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
  const statesOf = ({ sequence, from, to }: Span): Float32Array => {
    const states = hidden[Math.floor(sequence / perBatch)];
    if (!states) throw new Error(`there is no sequence ${sequence}`);
    const first = (sequence % perBatch) * states.batch.length;
    return states.data.subarray((first + from) * width, (first + to) * width);
  };
  if (!table)
    return {
      vocabulary,
      logits: (sequence, from, to) => forward.logits(statesOf({ sequence, from, to }), outside),
      release: async () => {},
    };
  const part: Predictor['part'] = async (spans, from, to) => {
    const rows = concatenate(spans.map(statesOf));
    return forward.logits(rows, outside, { from, to, head: await table(from, to) });
  };
  return {
    vocabulary,
    logits: (sequence, from, to) => part([{ sequence, from, to }], 0, vocabulary),
    part,
    release: async () => {},
  };
}

function concatenate(arrays: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(arrays.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const array of arrays) {
    result.set(array, at);
    at += array.length;
  }
  return result;
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
