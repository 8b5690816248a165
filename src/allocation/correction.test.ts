import { expect, test } from 'vitest';
import { modelTable } from '../../test/reference/allocations.js';
import { createRandom } from '../random.js';
import { type CorrectionOptions, correctLosses, type Measured } from './correction.js';
import { knapsack } from './knapsack.js';
import { type Choice, smallest, total } from './table.js';

const choices = modelTable(40, 12);
const budget = Math.floor(2.1 * smallest(choices).bytes);

/** What allocations really cost: every tensor's losses count for more or less than the table says. */
function truth(seed: number): Choice[] {
  const random = createRandom(seed);
  return choices.map((choice) => {
    const factor = 0.6 * Math.exp(0.3 * random.normal());
    return { ...choice, levels: choice.levels.map((level) => ({ ...level, loss: factor * level.loss })) };
  });
}

/** Allocations that are the best for draws from what is believed, measured one after another. */
function search(real: readonly Choice[], count: number, seed: number): Measured[] {
  const random = createRandom(seed);
  const measured: Measured[] = [];
  let { levels } = knapsack(choices, budget);
  for (let i = 0; i < count; i++) {
    measured.push({ levels, value: total(real, levels).loss * (1 + 0.01 * random.normal()) });
    levels = knapsack(correctLosses(choices, measured, {}, random), budget).levels;
  }
  return measured;
}

test('losses corrected by measurements lead to better allocations', () => {
  for (const seed of [1, 2, 3]) {
    const real = truth(seed);
    const cost = (levels: readonly number[]) => total(real, levels).loss;
    const start = cost(knapsack(choices, budget).levels);
    const optimum = cost(knapsack(real, budget).levels);
    const found = cost(knapsack(correctLosses(choices, search(real, 20, seed)), budget).levels);
    expect(found - optimum, `seed ${seed}`).toBeLessThan(0.6 * (start - optimum));
  }
});

test('predicts what it has measured, and draws scatter around what is expected', () => {
  const real = truth(5);
  const measured = search(real, 12, 5);
  const expected = correctLosses(choices, measured);
  const scale = measured.reduce((sum, { value }) => sum + value, 0);
  const sums = measured.reduce((sum, { levels }) => sum + total(choices, levels).loss, 0);
  for (const { levels, value } of measured) {
    const predicted = (total(expected, levels).loss * scale) / sums;
    expect(Math.abs(predicted / value - 1)).toBeLessThan(0.02);
  }
  const random = createRandom(9);
  const first = measured[0]?.levels ?? [];
  const drawn = Array.from({ length: 200 }, () =>
    total(correctLosses(choices, measured, {}, random), first),
  ).map(({ loss }) => loss);
  const mean = drawn.reduce((sum, loss) => sum + loss, 0) / drawn.length;
  expect(mean / total(expected, first).loss).toBeCloseTo(1, 2);
  expect(Math.max(...drawn)).toBeGreaterThan(Math.min(...drawn));
});

test('one measurement changes no order', () => {
  const { levels } = knapsack(choices, budget);
  const corrected = correctLosses(choices, [{ levels, value: 7 }]);
  expect(knapsack(corrected, budget).levels).toEqual(levels);
});

test('choices with a label in common learn from each other', () => {
  const labels = choices.map((_, index) => [`half ${index < choices.length / 2}`]);
  const random = createRandom(4);
  const real = choices.map((choice, index) => {
    const factor = (index < choices.length / 2 ? 0.7 : 1.3) * Math.exp(0.05 * random.normal());
    return { ...choice, levels: choice.levels.map((level) => ({ ...level, loss: factor * level.loss })) };
  });
  const measured = search(real, 4, 4);
  const cost = (options: Partial<CorrectionOptions>) =>
    total(real, knapsack(correctLosses(choices, measured, options), budget).levels).loss;
  const optimum = total(real, knapsack(real, budget).levels).loss;
  expect(cost({ labels }) - optimum).toBeLessThan(0.5 * (cost({}) - optimum));
});
