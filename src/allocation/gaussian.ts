import { dot, type Factor, factorize, solve, solveLower } from './linear.js';

/** A Gaussian process fitted to values at points of the unit cube. */
export interface Surrogate {
  /** Expected value and its standard deviation at a point. */
  predict(point: readonly number[]): { readonly mean: number; readonly deviation: number };
}

interface Conditioned {
  readonly factor: Factor;
  readonly weights: Float64Array;
  readonly likelihood: number;
}

/** Length scales that are tried in every dimension; the longest makes it nearly irrelevant. */
const scales = [0.1, 0.2, 0.4, 0.8, 1.6, 4];
const noises = [1e-6, 1e-3, 3e-2];

/**
 * Matérn covariance of smoothness 5/2 with a length scale per dimension (Rasmussen and Williams, 2006, eq. 4.17).
 * Scales and noise are those of the largest marginal likelihood (ibid., eq. 2.30), found by trying one dimension
 * after another; values are standardised, so that the prior has mean 0 and variance 1.
 *
 * @param points all of one length, in [0, 1]; at most some hundred
 */
export function fitSurrogate(points: readonly (readonly number[])[], values: readonly number[]): Surrogate {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count) || 1;
  const targets = Float64Array.from(values, (value) => (value - mean) / spread);
  let lengths = (points[0] ?? []).map(() => 0.4);
  let noise = 1e-3;
  let best = condition(points, targets, lengths, noise);
  const attempt = (ownLengths: number[], ownNoise: number) => {
    const next = condition(points, targets, ownLengths, ownNoise);
    if (!next || (best && next.likelihood <= best.likelihood)) return;
    [best, lengths, noise] = [next, ownLengths, ownNoise];
  };
  for (const scale of scales)
    attempt(
      lengths.map(() => scale),
      noise,
    );
  for (let pass = 0; pass < 2; pass++) {
    for (const dimension of lengths.keys()) {
      for (const scale of scales) attempt(lengths.with(dimension, scale), noise);
    }
    for (const own of noises) attempt(lengths, own);
  }
  return {
    predict(point) {
      if (!best) return { mean, deviation: spread };
      const covariances = Float64Array.from(points, (other) => matern(point, other, lengths));
      const half = solveLower(best.factor, covariances);
      const variance = Math.max(1e-12, 1 - dot(half, half));
      return {
        mean: mean + spread * dot(covariances, best.weights),
        deviation: spread * Math.sqrt(variance),
      };
    },
  };
}

/** undefined when the covariance cannot be factorised. */
function condition(
  points: readonly (readonly number[])[],
  targets: Float64Array,
  lengths: readonly number[],
  noise: number,
): Conditioned | undefined {
  const count = points.length;
  const matrix = new Float64Array(count * count);
  for (const [a, first] of points.entries()) {
    for (const [b, second] of points.entries()) {
      if (b > a) break;
      const value = matern(first, second, lengths) + (a === b ? noise : 0);
      matrix[a * count + b] = value;
      matrix[b * count + a] = value;
    }
  }
  const factor = factorize(matrix, count);
  if (!factor) return undefined;
  const weights = solve(factor, targets);
  let logDeterminant = 0;
  for (let row = 0; row < count; row++) logDeterminant += 2 * Math.log(factor.lower[row * (count + 1)] ?? 1);
  return { factor, weights, likelihood: -dot(targets, weights) - logDeterminant };
}

function matern(a: readonly number[], b: readonly number[], lengths: readonly number[]): number {
  let square = 0;
  for (const [dimension, value] of a.entries()) {
    square += ((value - (b[dimension] ?? 0)) / (lengths[dimension] ?? 1)) ** 2;
  }
  const distance = Math.sqrt(5 * square);
  return (1 + distance + distance ** 2 / 3) * Math.exp(-distance);
}

/**
 * By how much a point is expected to fall below the best value: ∫ max(0, best − y) p(y) dy (Jones, Schonlau and
 * Welch, 1998, eq. 15).
 */
export function expectedImprovement(best: number, mean: number, deviation: number): number {
  const z = (best - mean) / deviation;
  const density = Math.exp(-(z ** 2) / 2) / Math.sqrt(2 * Math.PI);
  return (best - mean) * normalShare(z) + deviation * density;
}

/** Share of the standard normal below z, to 1e-7 (Abramowitz and Stegun, 7.1.26). */
function normalShare(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const series =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = (series * Math.exp(-(x ** 2))) / 2;
  return z > 0 ? 1 - tail : tail;
}
