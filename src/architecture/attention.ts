import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { Batch } from './architecture.js';

/** Splits tokens × (heads · headDim) into [sequences, heads, length, headDim]. */
export function splitHeads(x: Value, batch: Batch, heads: number): Value {
  const { sequences, length } = batch;
  return g.transpose(g.reshape(x, [sequences, length, heads, -1]), [0, 2, 1, 3]);
}

/**
 * Causal scaled dot-product attention with grouped queries: consecutive runs of query heads share one key
 * and value head (Ainslie et al., 2023).
 * @param q [sequences, heads, length, headDim]
 * @param k [sequences, kvHeads, length, headDim], `v` alike
 * @returns tokens × (heads · headDim)
 */
export function attend(q: Value, k: Value, v: Value, options: AttentionOptions = {}): Value {
  const { window = Number.POSITIVE_INFINITY, scale, cap } = options;
  return mix(q, k, v, {
    scale,
    mask: (scores) => g.add(softcap(scores, cap), causalMask(q.shape[2] ?? 0, window)),
  });
}

/** cap · tanh(x / cap), which nears ± cap (Gemma 2). */
export const softcap = (x: Value, cap: number | undefined): Value =>
  cap === undefined ? x : g.mul(g.tanh(g.mul(x, g.scalar(1 / cap))), g.scalar(cap));

export interface AttentionOptions {
  /** Positions further back than this are not seen. */
  readonly window?: number | undefined;
  /** Factor of the scores, 1 / √headDim unless given. */
  readonly scale?: number | undefined;
  /** Scores become cap · tanh(score / cap). */
  readonly cap?: number | undefined;
}

/** What changes the scores of an encoder's attention. */
export interface BothWaysOptions {
  /** Positions further away than this, before or behind, are not seen. */
  readonly window?: number | undefined;
  /** What is added to the scores, heads × length × length. */
  readonly bias?: Value | undefined;
}

/** The same without a causal mask: every position sees all of its sequence (Devlin et al., 2018), or a window around it. */
export function attendBothWays(q: Value, k: Value, v: Value, { window, bias }: BothWaysOptions = {}): Value {
  const length = q.shape[2] ?? 0;
  return mix(q, k, v, {
    mask(scores) {
      const biased = bias ? g.add(scores, bias) : scores;
      return window === undefined || window >= length - 1
        ? biased
        : g.add(biased, windowMask(length, window));
    },
  });
}

interface Mixing {
  readonly mask: (scores: Value) => Value;
  readonly scale?: number | undefined;
}

function mix(q: Value, k: Value, v: Value, { mask, scale }: Mixing): Value {
  const [sequences = 0, heads = 0, length = 0, headDim = 0] = q.shape;
  const kvHeads = k.shape[1] ?? 0;
  const group = heads / kvHeads;
  // The queries of a group are stacked along the length, so that keys and values are never repeated.
  const stacked = g.reshape(g.mul(q, g.scalar(scale ?? headDim ** -0.5)), [
    sequences,
    kvHeads,
    group * length,
    headDim,
  ]);
  const scores = g.reshape(g.matmul(stacked, g.transpose(k, [0, 1, 3, 2])), [
    sequences,
    heads,
    length,
    length,
  ]);
  const weights = g.softmax(mask(scores));
  const mixed = g.matmul(g.reshape(weights, [sequences, kvHeads, group * length, length]), v);
  const perHead = g.reshape(mixed, [sequences, heads, length, headDim]);
  return g.reshape(g.transpose(perHead, [0, 2, 1, 3]), [sequences * length, heads * headDim]);
}

// Far below every score, yet finite: softmax of a row never sees infinity minus infinity.
const masked = -1e30;

function causalMask(length: number, window: number): Value {
  const mask = new Float32Array(length * length);
  for (let query = 0; query < length; query++) {
    mask.fill(masked, query * length + query + 1, (query + 1) * length);
    mask.fill(masked, query * length, query * length + Math.max(0, query - window + 1));
  }
  return g.constant(mask, [length, length]);
}

function windowMask(length: number, window: number): Value {
  const mask = new Float32Array(length * length).fill(masked);
  for (let query = 0; query < length; query++)
    mask.fill(
      0,
      query * length + Math.max(0, query - window),
      query * length + Math.min(length, query + window + 1),
    );
  return g.constant(mask, [length, length]);
}
