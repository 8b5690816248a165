import { TersorError } from '../errors.js';

/** Ranks from 1; equal values share the mean of theirs. NaN ranks last. */
export function ranks(values: readonly number[]): number[] {
  const value = (index: number | undefined) => {
    const own = values[index ?? 0] ?? 0;
    return Number.isNaN(own) ? Infinity : own;
  };
  // Not by subtraction: Infinity − Infinity is no order.
  const order = [...values.keys()].sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : 0));
  const result = values.map(() => 0);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && value(order[to]) === value(order[from])) to++;
    for (const index of order.slice(from, to)) result[index] = (from + to + 1) / 2;
    from = to;
  }
  return result;
}

/**
 * Spearman's rank correlation: Pearson's of the ranks, so that ties count properly. In [−1, 1]; 0 when either side
 * is constant, which orders nothing.
 *
 * @throws TersorError when the lengths differ
 */
export function spearman(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length) throw new TersorError(`cannot correlate ${a.length} values with ${b.length}`);
  return rankCorrelation(ranks(a), ranks(b));
}

/** Spearman's correlation of values that are ranks already. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  // Ranks, shared or not, have this mean.
  const mean = (a.length + 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (const [index, own] of a.entries()) {
    const [x, y] = [own - mean, (b[index] ?? 0) - mean];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : 0;
}
