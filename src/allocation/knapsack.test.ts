import { expect, test } from 'vitest';
import { everyAllocation, modelTable } from '../../test/reference/allocations.js';
import { uniform } from '../../test/reference/random.js';
import { knapsack } from './knapsack.js';
import { layerDp } from './layer-dp.js';
import type { Choice } from './table.js';

/** Small tables of all kinds: ties, zeros, equal levels, worse ones, negative loss, proportional ones. */
function smallTable(seed: number): Choice[] {
  const random = uniform(seed);
  const integer = (below: number) => Math.floor(random() * below);
  const kind = seed % 4;
  return Array.from({ length: 1 + integer(6) }, (_, tensor) => ({
    name: `t${tensor}`,
    levels: Array.from({ length: 1 + integer(4) }, (_, level) => {
      const bytes = integer(kind === 0 ? 6 : 1000);
      const loss = [integer(5), random() ** 4 - 0.1, 1000 - bytes, 1 / (1 + bytes) + 0.01 * random()][kind];
      return { type: `l${level}`, bytes, loss: loss ?? 0 };
    }),
  }));
}

function budgetOf(choices: readonly Choice[], share: number): number {
  const extreme = (pick: (...sizes: number[]) => number) =>
    choices.reduce((sum, { levels }) => sum + pick(...levels.map(({ bytes }) => bytes)), 0);
  const least = extreme(Math.min);
  return least + Math.floor((extreme(Math.max) - least) * share);
}

test('equals brute force on 400 small tables, ties to the smaller size', () => {
  for (let seed = 0; seed < 400; seed++) {
    const choices = smallTable(seed);
    const budget = budgetOf(choices, uniform(seed + 1e6)());
    const allowed = [...everyAllocation(choices)].filter(({ bytes }) => bytes <= budget);
    const loss = Math.min(...allowed.map((allocation) => allocation.loss));
    const bytes = Math.min(...allowed.filter((a) => a.loss <= loss + 1e-9).map((a) => a.bytes));
    const found = knapsack(choices, budget);
    expect(found.bytes, `seed ${seed}`).toBe(bytes);
    expect(found.loss, `seed ${seed}`).toBeCloseTo(loss, 9);
    expect(found.gap, `seed ${seed}`).toBe(0);
    expect(
      found.levels.reduce((sum, level, tensor) => sum + (choices[tensor]?.levels[level]?.bytes ?? 0), 0),
    ).toBe(bytes);
  }
});

test('equals dynamic programming on tables of the size of models', () => {
  for (const [seed, share] of [0.02, 0.1, 0.3, 0.5, 0.7, 0.95].entries()) {
    const choices = modelTable(250, seed);
    const budget = budgetOf(choices, share);
    const found = knapsack(choices, budget);
    expect(found.bytes).toBeLessThanOrEqual(budget);
    expect(found.gap).toBe(0);
    const exact = layerDp(choices, budget, { cells: 200_000 });
    expect(Math.abs(found.loss / exact.loss - 1), `share ${share}`).toBeLessThan(1e-12);
  }
});

test('a hundred layers alike are no trouble', () => {
  const [first] = modelTable(1, 5);
  const choices = Array.from({ length: 100 }, (_, index) => ({
    name: `${index}`,
    levels: first?.levels ?? [],
  }));
  const budget = budgetOf(choices, 0.377);
  expect(knapsack(choices, budget).loss).toBeCloseTo(layerDp(choices, budget).loss, 12);
});

test('sizes without a common divisor are solved and proven, too', () => {
  const random = uniform(9);
  const choices = Array.from({ length: 1000 }, (_, tensor) => ({
    name: `${tensor}`,
    levels: Array.from({ length: 20 }, (_, level) => ({
      type: `${level}`,
      bytes: Math.floor((level + random()) * 1e6),
      loss: random() * 2 ** -level,
    })),
  }));
  const budget = budgetOf(choices, 0.2);
  const found = knapsack(choices, budget);
  expect(found.gap).toBe(0);
  expect(found.bytes).toBeLessThanOrEqual(budget);
});

test('says how far it may be off when it has to forget', () => {
  // Loss proportional to size: a sum of subsets, in which no bound helps.
  const random = uniform(3);
  const choices = Array.from({ length: 40 }, (_, tensor) => ({
    name: `${tensor}`,
    levels: [0, 1, 2].map((level) => {
      const bytes = level * Math.floor(1e9 * (1 + random()));
      return { type: `${level}`, bytes, loss: 1e10 - bytes };
    }),
  }));
  const budget = budgetOf(choices, 0.5);
  const rough = knapsack(choices, budget, { states: 8 });
  const fine = knapsack(choices, budget, { states: 4096 });
  expect(rough.gap).toBeGreaterThan(0);
  expect(fine.loss).toBeLessThanOrEqual(rough.loss);
  expect(rough.loss - rough.gap).toBeLessThanOrEqual(fine.loss);
});

test('errors name what is wrong', () => {
  const choices: Choice[] = [
    { name: 'a', levels: [{ type: 'Q4', bytes: 70, loss: 1 }] },
    { name: 'b', levels: [{ type: 'Q4', bytes: 50, loss: 1 }] },
  ];
  expect(() => knapsack(choices, 119)).toThrow('the smallest size is 120 bytes');
  expect(knapsack(choices, 120).levels).toEqual([0, 0]);
  const bad = (bytes: number, loss: number) => [{ name: 'a', levels: [{ type: 'Q4', bytes, loss }] }];
  expect(() => knapsack(bad(1, Number.NaN), 10)).toThrow('tensor a: type Q4 has a loss of NaN');
  expect(() => knapsack(bad(1.5, 1), 10)).toThrow('a size of 1.5 bytes');
  expect(() => knapsack(bad(1, 1), Number.NaN)).toThrow('not a number');
  expect(() => knapsack([{ name: 'a', levels: [] }], 10)).toThrow('tensor a: there is no way to store it');
});
