import type { Random } from '../random.js';
import { dot, factorize, solve } from './linear.js';
import type { Choice } from './table.js';

/** An allocation whose quality was measured on the whole model, in the units of damages or any other. */
export interface Measured {
  readonly levels: readonly number[];
  readonly value: number;
}

export interface CorrectionOptions {
  /** How far the factor of a tensor's damages may be off one: standard deviation of the prior. */
  readonly deviation: number;
  /** Standard deviation of a measured value, as a share of it: of the measurement, and of what sums do not see. */
  readonly noise: number;
}

export const correctionDefaults: CorrectionOptions = { deviation: 0.3, noise: 0.012 };

/** Damages never fall below this share of what they were. */
const leastFactor = 0.2;

/**
 * Damages with a factor for every tensor that makes their sums follow what was measured of whole models: a tensor's
 * damage was found with all others as they are in the original, and behind compressed layers, which later ones make up
 * for, it counts for more or less. Bayesian linear regression (Rasmussen and Williams, 2006, section 2.1) of
 * value / scale = Σ (1 + δ_t) damage_t, δ_t ~ N(0, deviation²), in the form of one unknown per measurement.
 *
 * @param random draws the factors from what is still possible after the measurements (Thompson, 1933; drawn as Matheron's
 *   rule says) in place of the expected ones
 */
export function correctDamages(
  choices: readonly Choice[],
  measured: readonly Measured[],
  options: Partial<CorrectionOptions> = {},
  random?: Random,
): Choice[] {
  const { deviation, noise } = { ...correctionDefaults, ...options };
  const rows = measured.map(({ levels }) =>
    Float64Array.from(choices, (choice, tensor) => choice.levels[levels[tensor] ?? -1]?.damage ?? 0),
  );
  const sums = rows.map((row) => row.reduce((sum, damage) => sum + damage, 0));
  const all = (values: Iterable<number>) => [...values].reduce((sum, value) => sum + value, 0);
  const scale = all(measured.map(({ value }) => value)) / all(sums);
  const drawn = Float64Array.from(choices, () => (random ? deviation * random.normal() : 0));
  // What the factors drawn from the prior leave unexplained, measurements off by their noise.
  const left = Float64Array.from(measured, ({ value }, i) => {
    const [row = drawn, sum = 0] = [rows[i], sums[i]];
    return value / scale - sum - dot(row, drawn) - (random ? noise * sum * random.normal() : 0);
  });
  const count = measured.length;
  const covariance = new Float64Array(count * count);
  for (const [i, a] of rows.entries()) {
    for (const [j, b] of rows.entries()) {
      covariance[i * count + j] = deviation ** 2 * dot(a, b) + (i === j ? (noise * (sums[i] ?? 0)) ** 2 : 0);
    }
  }
  const factor = factorize(covariance, count);
  const weights = factor ? solve(factor, left) : new Float64Array(count);
  return choices.map((choice, tensor) => {
    const learnt = rows.reduce((sum, row, i) => sum + (row[tensor] ?? 0) * (weights[i] ?? 0), 0);
    const change = Math.max(leastFactor, 1 + (drawn[tensor] ?? 0) + deviation ** 2 * learnt);
    return { ...choice, levels: choice.levels.map((level) => ({ ...level, damage: change * level.damage })) };
  });
}
