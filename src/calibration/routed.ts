import * as g from '../graph/build.js';
import { substitute } from '../graph/rewrite.js';
import { topological, type Value } from '../graph/value.js';

/**
 * Tokens of a text that every expert is calibrated on beside its own, at most; of them it borrows what the inputs of its
 * layer look like.
 */
export const borrowedTokens = 256;
/** Weight of the borrowed tokens together, in tokens: an expert with so many of its own counts both alike. */
export const borrowedWeight = 32;

/** Tokens are chosen by multiples of it, which have no period that sequences could share. */
const golden = (Math.sqrt(5) - 1) / 2;

/** Of so many tokens one is borrowed; of infinitely many none is. */
export const borrowingStride = (tokens: number): number => Math.max(1, tokens / borrowedTokens);

const isBorrowed = (row: number, stride: number): boolean => (row * golden) % 1 < 1 / stride;

/**
 * The same block, whose experts also see the borrowed tokens. Their outputs count with a share of 0, so that the block
 * computes what it did.
 * @param stride one token in so many is borrowed
 */
export function withBorrowedTokens(output: Value, stride: number): Value {
  if (stride === Number.POSITIVE_INFINITY) return output;
  const replaced = new Map<Value, Value>();
  for (const { op, inputs } of topological([output])) {
    const [shares] = inputs;
    if (op !== 'toBool' || !shares || replaced.has(shares)) continue;
    const mask = Float32Array.from({ length: shares.shape[0] ?? 0 }, (_, row) =>
      isBorrowed(row, stride) ? 1 : 0,
    );
    replaced.set(shares, g.add(shares, g.constant(mask)));
  }
  return replaced.size > 0 ? substitute(output, replaced) : output;
}

/** What tells which rows an expert's values have: a number per token, 0 where it has none; undefined for other values. */
export function rowsOf(value: Value): Value | undefined {
  if (!value.bounded) return undefined;
  const indices = topological([value]).findLast(({ op }) => op === 'compress');
  return indices?.inputs[1]?.inputs[0];
}

/** Rows of an expert's values in one batch. */
export interface RoutedRows {
  /** Token of each row. */
  readonly tokens: readonly number[];
  /** Tokens that chose the expert. */
  readonly own: number;
  /** Of each row: 1 for a token that chose the expert, and for one that is borrowed `share` more. */
  weights(share: number): Float32Array;
  readonly borrowed: readonly boolean[];
}

/** @param numbers share of each token, and one more where it is borrowed */
export function routedRows(numbers: Float32Array, stride: number): RoutedRows {
  const tokens = [...numbers.keys()].filter((token) => numbers[token] !== 0);
  const borrowed = tokens.map((token) => isBorrowed(token, stride));
  const isOwn = tokens.map((token, row) => (numbers[token] ?? 0) > (borrowed[row] ? 1 : 0));
  return {
    tokens,
    borrowed,
    own: isOwn.filter((each) => each).length,
    weights: (share) =>
      Float32Array.from(tokens, (_, row) => (isOwn[row] ? 1 : 0) + (borrowed[row] ? share : 0)),
  };
}
