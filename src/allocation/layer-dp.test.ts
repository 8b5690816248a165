import { expect, test } from 'vitest';
import { modelTable } from '../../test/reference/allocations.js';
import { uniform } from '../../test/reference/random.js';
import { knapsack } from './knapsack.js';
import { layerDp } from './layer-dp.js';
import { smallest } from './table.js';

test('equals the exact knapsack when the unit divides all sizes', () => {
  for (let seed = 0; seed < 100; seed++) {
    const choices = modelTable(1 + (seed % 30), seed);
    const floor = smallest(choices).bytes;
    const budget = floor + Math.floor(uniform(seed)() * 3 * floor);
    const found = layerDp(choices, budget);
    const optimum = knapsack(choices, budget);
    expect(found.bytes).toBeLessThanOrEqual(budget);
    expect(Math.abs(found.loss / optimum.loss - 1), `seed ${seed}`).toBeLessThan(1e-12);
  }
});

test('a coarse grid keeps the budget and comes close', () => {
  const choices = modelTable(60, 1).map(({ name, levels }, index) => ({
    name,
    levels: levels.map((level) => ({ ...level, bytes: level.bytes + index })),
  }));
  const budget = Math.floor(2 * smallest(choices).bytes);
  const optimum = knapsack(choices, budget);
  const losses = [200, 2000, 20_000].map((cells) => {
    const found = layerDp(choices, budget, { cells });
    expect(found.bytes).toBeLessThanOrEqual(budget);
    return found.loss / optimum.loss;
  });
  expect(losses[0]).toBeLessThan(1.2);
  expect(losses[0]).toBeGreaterThan(1);
  expect(losses[1]).toBeLessThan(1.01);
  expect(losses[2]).toBeLessThan(1.001);
});

test('the smallest size within reach is reached, less is an error', () => {
  const choices = modelTable(3, 2);
  const { bytes, levels } = smallest(choices);
  expect(layerDp(choices, bytes).levels).toEqual(levels);
  expect(() => layerDp(choices, bytes - 1)).toThrow(`the smallest size is ${bytes} bytes`);
});
