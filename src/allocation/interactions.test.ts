import { expect, test } from 'vitest';
import { everyAllocation, modelTable } from '../../test/reference/allocations.js';
import { normal, uniform } from '../../test/reference/random.js';
import { allocateInteracting, interactingLoss, type Pair } from './interactions.js';
import { knapsack } from './knapsack.js';
import { type Choice, smallest } from './table.js';

/** Interactions of all pairs: cosines of random directions times the roots of both losses. */
function allPairs(choices: readonly Choice[], seed: number): Pair[] {
  const next = normal(seed);
  const directions = choices.map(() => {
    const raw = [next(), next(), next()];
    const norm = Math.hypot(...raw);
    return raw.map((value) => value / norm);
  });
  const pairs: Pair[] = [];
  for (const [first, a] of choices.entries()) {
    for (const [second, b] of choices.entries()) {
      if (second <= first) continue;
      const cosine = (directions[first] ?? []).reduce(
        (sum, value, axis) => sum + value * (directions[second]?.[axis] ?? 0),
        0,
      );
      for (const [firstLevel, { loss: own }] of a.levels.entries()) {
        for (const [secondLevel, { loss: other }] of b.levels.entries()) {
          pairs.push({ first, firstLevel, second, secondLevel, loss: 2 * cosine * Math.sqrt(own * other) });
        }
      }
    }
  }
  return pairs;
}

test('equals brute force on 60 small tables', () => {
  for (let seed = 0; seed < 60; seed++) {
    const choices = modelTable(6, seed, [2, 3, 4, 8]);
    const pairs = allPairs(choices, seed);
    const budget = Math.floor(smallest(choices).bytes * (1.1 + 2 * uniform(seed)()));
    const best = [...everyAllocation(choices)]
      .filter(({ bytes }) => bytes <= budget)
      .reduce((least, { levels }) => Math.min(least, interactingLoss(choices, pairs, levels)), Infinity);
    const found = allocateInteracting(choices, pairs, budget);
    expect(found.bytes).toBeLessThanOrEqual(budget);
    expect(found.loss).toBe(interactingLoss(choices, pairs, found.levels));
    expect(found.loss / best, `seed ${seed}`).toBeCloseTo(1, 9);
  }
});

test('beats the knapsack that does not see interactions', () => {
  const choices = modelTable(50, 1);
  const pairs = allPairs(choices, 1);
  const budget = 2 * smallest(choices).bytes;
  const blind = interactingLoss(choices, pairs, knapsack(choices, budget).levels);
  const found = allocateInteracting(choices, pairs, budget, { perturbations: 1 });
  expect(found.loss).toBeLessThan(0.9 * blind);
  expect(allocateInteracting(choices, pairs, budget, { perturbations: 1 })).toEqual(found);
});

test('without pairs it is the knapsack', () => {
  const choices = modelTable(20, 3);
  const budget = 2 * smallest(choices).bytes;
  expect(allocateInteracting(choices, [], budget, { perturbations: 2 }).loss).toBeCloseTo(
    knapsack(choices, budget).loss,
    14,
  );
});

test('errors name the pair', () => {
  const choices = modelTable(2, 3);
  const pair = { first: 0, firstLevel: 0, second: 1, secondLevel: 0, loss: 1 };
  const budget = Number.MAX_SAFE_INTEGER;
  const allocate = (change: Partial<Pair>) => allocateInteracting(choices, [{ ...pair, ...change }], budget);
  expect(() => allocate({ second: 0 })).toThrow('tensors 0 and 0 are no pair');
  expect(() => allocate({ secondLevel: 6 })).toThrow('there is no level 6');
  expect(() => allocate({ loss: Number.NaN })).toThrow('interaction with blk.1.weight');
});
