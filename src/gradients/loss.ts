import type { Architecture, Batch } from '../architecture/architecture.js';
import { type Hidden, headOf, programCache } from '../architecture/forward.js';
import { pooled } from '../architecture/pooling.js';
import * as g from '../graph/build.js';
import { differentiate } from '../graph/differentiate.js';
import type { Arrays } from '../graph/program.js';
import { topological, type Value } from '../graph/value.js';
import type { Random } from '../random.js';
import { required } from '../required.js';
import type { RuntimeOptions } from '../runtime/session.js';

/** Positions whose logits are in memory together. */
const slab = 256;

/** A gradient at the end of a model. */
export interface LossGradient {
  /** At the last block's outputs, tokens × hidden. */
  readonly hidden: Float32Array;
  /** Of the head's weight, vocabulary × hidden, where it was asked for. */
  readonly table?: Float32Array;
}

/** The original's outputs for one batch, and its weights outside the blocks. */
export interface Original {
  readonly hidden: Hidden;
  readonly outside: Arrays;
  /** What it predicts, tokens × vocabulary, where that is kept; else it is computed each time. */
  readonly target?: Float32Array | undefined;
}

/** Gradients of losses, summed over the tokens of a batch, for weights outside the blocks as they are given. */
export interface Losses {
  /**
   * Of Σ −log p(label).
   * @param labels a token for every position, −1 where nothing is to be predicted
   */
  labels(
    data: Float32Array,
    labels: Int32Array,
    outside: Arrays,
    wanted?: { readonly table?: boolean },
  ): Promise<LossGradient>;
  /**
   * Of the divergence from the original: Σ KL(original ‖ model) over positions; of an encoder the sum over texts of one
   * less the cosine of their embeddings.
   */
  divergence(
    hidden: Hidden,
    outside: Arrays,
    original: Original,
    wanted?: { readonly table?: boolean },
  ): Promise<LossGradient>;
  /** What a model predicts, tokens × vocabulary. */
  predict(data: Float32Array, outside: Arrays): Promise<Float32Array>;
  /** A token for every position, drawn from what the model predicts there. */
  draw(data: Float32Array, outside: Arrays, random: Random): Promise<Int32Array>;
  /** Adds the sum of p (1 − p) over positions, for every token. */
  addSpread(data: Float32Array, outside: Arrays, into: Float32Array): Promise<void>;
  release(): Promise<void>;
}

export function createLosses(architecture: Architecture, options: RuntimeOptions = {}): Losses {
  const { hidden: width, vocabulary } = architecture;
  const cache = programCache(options);
  const ids = BigInt64Array.from({ length: vocabulary }, (_, id) => BigInt(id));
  const slabsOf = function* (data: Float32Array) {
    const rows = data.length / width;
    for (let from = 0; from < rows; from += slab) {
      const to = Math.min(rows, from + slab);
      yield { from, to, rows: to - from, hidden: data.subarray(from * width, to * width) };
    }
  };
  const probabilities = async (hidden: Float32Array, outside: Arrays): Promise<Float32Array> => {
    const rows = hidden.length / width;
    const program = await cache.get(`probabilities ${rows}`, () => ({
      p: g.softmax(architecture.head(states(architecture, rows))),
    }));
    return required(await program.run({ ...outside, hidden }), 'p');
  };
  /** A zeroed table for the first slab, where one is wanted. */
  const sumOf = (table: Float32Array | undefined, wanted: boolean) =>
    wanted ? { previous: table ?? new Float32Array(vocabulary * width) } : {};
  const prediction: Losses['divergence'] = async ({ data }, outside, original, wanted = {}) => {
    const withTable = wanted.table ?? false;
    const result = new Float32Array(data.length);
    let table: Float32Array | undefined;
    for (const { from, to, rows, hidden } of slabsOf(data)) {
      const target =
        original.target?.subarray(from * vocabulary, to * vocabulary) ??
        (await probabilities(original.hidden.data.subarray(from * width, to * width), original.outside));
      const program = await cache.get(`divergence ${rows} ${withTable}`, () =>
        divergenceBackward(architecture, rows, withTable),
      );
      const found = await program.run({ ...outside, hidden, target, ...sumOf(table, withTable) });
      result.set(required(found, 'gradient'), from * width);
      table = found.table;
    }
    return { hidden: result, ...(table ? { table } : {}) };
  };
  const embedding: Losses['divergence'] = async ({ batch, data }, _outside, original) => {
    const { sequences, length } = batch;
    const program = await cache.get(`cosine ${sequences} ${length}`, () =>
      cosineBackward(architecture, batch),
    );
    const found = await program.run({ hidden: data, original: original.hidden.data });
    return { hidden: required(found, 'gradient') };
  };

  return {
    async labels(data, labels, outside, { table: withTable = false } = {}) {
      const result = new Float32Array(data.length);
      let table: Float32Array | undefined;
      for (const { from, to, rows, hidden } of slabsOf(data)) {
        const program = await cache.get(`labels ${rows} ${withTable}`, () =>
          labelsBackward(architecture, rows, withTable),
        );
        const own = labels.subarray(from, to);
        const found = await program.run({
          ...outside,
          hidden,
          labels: BigInt64Array.from(own, BigInt),
          scored: Float32Array.from(own, (label) => (label < 0 ? 0 : 1)),
          ids,
          ...sumOf(table, withTable),
        });
        result.set(required(found, 'gradient'), from * width);
        table = found.table;
      }
      return { hidden: result, ...(table ? { table } : {}) };
    },
    divergence: architecture.objective === 'prediction' ? prediction : embedding,
    async predict(data, outside) {
      const result = new Float32Array((data.length / width) * vocabulary);
      for (const { from, hidden } of slabsOf(data)) {
        result.set(await probabilities(hidden, outside), from * vocabulary);
      }
      return result;
    },
    async draw(data, outside, random) {
      const labels = new Int32Array(data.length / width);
      for (const { from, rows, hidden } of slabsOf(data)) {
        const p = await probabilities(hidden, outside);
        for (let row = 0; row < rows; row++) {
          let left = random.next();
          let token = 0;
          // The last token takes what rounding leaves.
          while (token < vocabulary - 1) {
            left -= p[row * vocabulary + token] ?? 0;
            if (left < 0) break;
            token++;
          }
          labels[from + row] = token;
        }
      }
      return labels;
    },
    async addSpread(data, outside, into) {
      for (const { rows, hidden } of slabsOf(data)) {
        const program = await cache.get(`spread ${rows}`, () => {
          const p = g.softmax(architecture.head(states(architecture, rows)));
          return { spread: g.sum(g.mul(p, g.sub(g.scalar(1), p)), 0) };
        });
        const spread = required(await program.run({ ...outside, hidden }), 'spread');
        for (const [token, value] of spread.entries()) into[token] = (into[token] ?? 0) + value;
      }
    },
    release: cache.release,
  };
}

/** The label of every position: what comes next; the last one of a text has none. */
export const nextTokens = (texts: readonly Int32Array[]): Int32Array =>
  Int32Array.from(texts.flatMap((text) => [...text.subarray(1), -1]));

const states = ({ hidden }: Architecture, rows: number): Value => g.input('hidden', [rows, hidden]);

function labelsBackward(architecture: Architecture, rows: number, withTable: boolean): Record<string, Value> {
  const hidden = states(architecture, rows);
  const logits = architecture.head(hidden);
  const labels = g.input('labels', [rows, 1], 'i64');
  const hit = g.toFloat(g.equal(labels, g.input('ids', [1, architecture.vocabulary], 'i64')));
  const upstream = g.mul(g.sub(g.softmax(logits), hit), g.input('scored', [rows, 1]));
  return headGradients(architecture, hidden, logits, upstream, withTable);
}

/** Of Σ p₀ log(p₀ / p), whose gradient at the logits is p − p₀. */
function divergenceBackward(
  architecture: Architecture,
  rows: number,
  withTable: boolean,
): Record<string, Value> {
  const hidden = states(architecture, rows);
  const logits = architecture.head(hidden);
  const upstream = g.sub(g.softmax(logits), g.input('target', [rows, architecture.vocabulary]));
  return headGradients(architecture, hidden, logits, upstream, withTable);
}

function headGradients(
  architecture: Architecture,
  hidden: Value,
  logits: Value,
  upstream: Value,
  withTable: boolean,
): Record<string, Value> {
  const role = headOf(architecture)?.role;
  const table = topological([logits]).find(({ name }) => name === role);
  const sources = withTable && table ? [hidden, table] : [hidden];
  const [gradient = hidden, own] = differentiate(logits, upstream, sources);
  if (!own) return { gradient };
  return { gradient, table: g.add(g.input('previous', own.shape), own) };
}

/** Of Σ ½ ‖y − y₀‖² for embeddings of length one, which is 1 − cos. */
function cosineBackward(architecture: Architecture, batch: Batch): Record<string, Value> {
  const shape = [batch.sequences * batch.length, architecture.hidden];
  const hidden = g.input('hidden', shape);
  const y = pooled(architecture, hidden, batch);
  const upstream = g.sub(y, pooled(architecture, g.input('original', shape), batch));
  const [gradient = hidden] = differentiate(y, upstream, [hidden]);
  return { gradient };
}
