import type { Random } from '../random.js';
import { dot, factorize, solve } from './linear.js';
import type { Choice } from './table.js';

/** An allocation whose quality was measured on the whole model, in the units of losses or any other. */
export interface Measured {
  readonly levels: readonly number[];
  readonly value: number;
}

export interface CorrectionOptions {
  /** How far the factor of a tensor's losses may be off one: standard deviation of the prior. */
  readonly deviation: number;
  /** What a draw is off the expected factors by, as a share of what is possible: all of it leads far astray at first. */
  readonly boldness: number;
  /**
   * Labels of each choice: a fifth of the variance of its factor is its own, the rest it shares, in equal parts, with all
   * choices of the same labels. Without labels all of it is its own.
   */
  readonly labels: readonly (readonly string[])[];
  /** Standard deviation of a measured value, as a share of it: of the measurement, and of what sums do not see. */
  readonly noise: number;
}

export const correctionDefaults: CorrectionOptions = {
  deviation: 0.3,
  boldness: 0.75,
  labels: [],
  noise: 0.008,
};

/** Fitted to 28 models of tales, as is the noise: what blocks have in common explains most of what was measured. */
const ownShare = 0.2;
/** Losses never fall below this share of what they were. */
const leastFactor = 0.2;

/**
 * Losses with a factor for every tensor that makes their sums follow what was measured of whole models: a tensor's
 * loss was found with all others as they are in the original, and behind compressed layers, which later ones make up
 * for, it counts for more or less. Bayesian linear regression (Rasmussen and Williams, 2006, section 2.1) of
 * value / scale = Σ (1 + δ_t) loss_t, δ_t ~ N(0, deviation²), in the form of one unknown per measurement.
 *
 * @param random draws the factors from what is still possible after the measurements (Thompson, 1933; drawn as Matheron's
 *   rule says) in place of the expected ones
 */
export function correctLosses(
  choices: readonly Choice[],
  measured: readonly Measured[],
  options: Partial<CorrectionOptions> = {},
  random?: Random,
): Choice[] {
  const { deviation, boldness, labels, noise } = { ...correctionDefaults, ...options };
  const relate = related(choices.length, labels);
  const rows = measured.map(({ levels }) =>
    Float64Array.from(choices, (choice, tensor) => choice.levels[levels[tensor] ?? -1]?.loss ?? 0),
  );
  const sums = rows.map((row) => row.reduce((sum, loss) => sum + loss, 0));
  const all = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value, 0);
  const scale = all(measured.map(({ value }) => value)) / all(sums);
  const drawn = random
    ? relate.draw(random).map((value) => boldness * deviation * value)
    : new Float64Array(choices.length);
  // What the factors drawn from the prior leave unexplained, measurements off by their noise.
  const left = Float64Array.from(measured, ({ value }, i) => {
    const [row = drawn, sum = 0] = [rows[i], sums[i]];
    return value / scale - sum - dot(row, drawn) - (random ? boldness * noise * sum * random.normal() : 0);
  });
  const count = measured.length;
  const covariance = new Float64Array(count * count);
  for (const [i, a] of rows.entries()) {
    const felt = relate.covariance(a);
    for (const [j, b] of rows.entries()) {
      covariance[i * count + j] =
        deviation ** 2 * dot(felt, b) + (i === j ? (noise * (sums[i] ?? 0)) ** 2 : 0);
    }
  }
  const factor = factorize(covariance, count);
  const weights = factor ? solve(factor, left) : new Float64Array(count);
  const pulls = Float64Array.from(choices, (_, tensor) =>
    rows.reduce((sum, row, i) => sum + (row[tensor] ?? 0) * (weights[i] ?? 0), 0),
  );
  const learnt = relate.covariance(pulls);
  return choices.map((choice, tensor) => {
    const change = Math.max(leastFactor, 1 + (drawn[tensor] ?? 0) + deviation ** 2 * (learnt[tensor] ?? 0));
    return { ...choice, levels: choice.levels.map((level) => ({ ...level, loss: change * level.loss })) };
  });
}

/** Correlated numbers of variance one, one for each of so many choices. */
interface Related {
  draw(random: Random): Float64Array;
  /** C x for their covariance C. */
  covariance(x: Float64Array): Float64Array;
}

function related(count: number, labels: readonly (readonly string[])[]): Related {
  const names = [...new Set(labels.flat())];
  const members = Array.from({ length: count }, (_, i) =>
    (labels[i] ?? []).map((label) => names.indexOf(label)),
  );
  const own = members.map((list) => (list.length > 0 ? ownShare : 1));
  const share = members.map((list) => (list.length > 0 ? (1 - ownShare) / list.length : 0));
  return {
    draw(random) {
      const common = names.map(() => random.normal());
      return Float64Array.from(members, (list, i) => {
        const shared = list.reduce((sum, label) => sum + (common[label] ?? 0), 0);
        return Math.sqrt(own[i] ?? 1) * random.normal() + Math.sqrt(share[i] ?? 0) * shared;
      });
    },
    covariance(x) {
      const sums = new Float64Array(names.length);
      for (const [i, list] of members.entries()) {
        for (const label of list) sums[label] = (sums[label] ?? 0) + Math.sqrt(share[i] ?? 0) * (x[i] ?? 0);
      }
      return x.map(
        (value, i) =>
          (own[i] ?? 1) * value +
          Math.sqrt(share[i] ?? 0) * (members[i] ?? []).reduce((sum, label) => sum + (sums[label] ?? 0), 0),
      );
    },
  };
}
