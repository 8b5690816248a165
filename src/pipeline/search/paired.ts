/** How two models differ at the same positions. */
export interface Difference {
  /** Of the first from the second: below zero where the first is better. */
  readonly mean: number;
  /** Of that mean, positions taken as independent. */
  readonly standardError: number;
}

/**
 * The mean difference of two models' divergences, position by position. Both are hit by the same few hard positions, so
 * that it is far more certain than either mean.
 */
export function difference(values: Float32Array, others: Float32Array): Difference {
  const changes = values.map((value, position) => value - (others[position] ?? 0));
  const mean = average(changes);
  const variance = average(changes.map((change) => (change - mean) ** 2));
  return { mean, standardError: Math.sqrt(variance / changes.length) };
}

/** Of at least one value. */
export const average = (values: Float32Array): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
