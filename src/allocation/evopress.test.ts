import { expect, test } from 'vitest';
import { modelTable } from '../../test/reference/allocations.js';
import { normal } from '../../test/reference/random.js';
import { createRandom } from '../random.js';
import { type EvoPressState, evoPress } from './evopress.js';
import { knapsack } from './knapsack.js';
import { createLadder, mutate, operators } from './mutation.js';
import { type Allocation, type Choice, smallest } from './table.js';

/**
 * A quality with interactions: errors of tensors are vectors of length √loss in directions that are partly shared,
 * and the sum's square counts. Measured on few tokens it is off by a noise that is the same for the same question.
 */
function interacting(choices: readonly Choice[], seed: number, noise = 0) {
  const next = normal(seed);
  const directions = choices.map(() => [next(), next(), next()]);
  let calls = 0;
  const fitness = async ({ levels }: Allocation, tokens: number) => {
    calls++;
    const sums = [0, 0, 0];
    let alone = 0;
    for (const [tensor, level] of levels.entries()) {
      const loss = choices[tensor]?.levels[level]?.loss ?? 0;
      alone += loss;
      for (const axis of [0, 1, 2]) {
        sums[axis] = (sums[axis] ?? 0) + Math.sqrt(loss) * (directions[tensor]?.[axis] ?? 0);
      }
    }
    const key = levels.reduce((hash, level) => Math.imul(hash, 31) + level, tokens);
    const factor = 1 + (noise * createRandom(key).normal()) / Math.sqrt(tokens);
    return (0.2 * alone + sums.reduce((sum, value) => sum + value ** 2, 0)) * factor;
  };
  return { fitness, calls: () => calls };
}

const choices = modelTable(40, 12);
const budget = Math.floor(2.1 * smallest(choices).bytes);

test('beats the knapsack where tensors interact, at no more bytes and in bounded measurements', async () => {
  for (const seed of [1, 2, 3]) {
    const { fitness, calls } = interacting(choices, seed, 0.3);
    const start = knapsack(choices, budget);
    const asked: number[] = [];
    const found = await evoPress(
      choices,
      budget,
      (allocation, tokens) => {
        asked.push(allocation.bytes);
        return fitness(allocation, tokens);
      },
      { generations: 60, seed },
    );
    expect(Math.max(...asked)).toBeLessThanOrEqual(budget);
    expect(found.bytes).toBeLessThanOrEqual(budget);
    expect(calls()).toBe(found.evaluations);
    expect(calls()).toBeLessThanOrEqual(1 + 60 * (16 + 4 + 2));
    expect(found.startFitness).toBe(await fitness(start, 8192));
    expect(found.fitness).toBe(await fitness(found, 8192));
    expect(found.fitness, `seed ${seed}`).toBeLessThan(0.8 * found.startFitness);
  }
});

test('stopped after any generation and gone on with, it ends at the same allocation', async () => {
  const { fitness } = interacting(choices, 5, 0.3);
  const options = { generations: 12, offspring: 8, survivors: [4, 2], seed: 7 };
  const states: string[] = [];
  const whole = await evoPress(choices, budget, fitness, options, {
    onState: (state) => {
      states.push(JSON.stringify(state));
    },
  });
  expect(states).toHaveLength(12);
  for (const stored of [states[0], states[6]]) {
    const state = JSON.parse(stored ?? '') as EvoPressState;
    expect(await evoPress(choices, budget, fitness, options, { state })).toEqual(whole);
  }
});

test('a start that nothing improves stays', async () => {
  const { levels } = knapsack(choices, budget);
  const fitness = async (allocation: Allocation) => (allocation.levels.join() === levels.join() ? 1 : 2);
  const found = await evoPress(choices, budget, fitness, { generations: 3 });
  expect(found.levels).toEqual(levels);
  expect(found.fitness).toBe(1);
  const broken = async (allocation: Allocation) =>
    allocation.levels.join() === levels.join() ? 1 : Number.NaN;
  expect((await evoPress(choices, budget, broken, { generations: 3 })).levels).toEqual(levels);
});

test('mutations change something, keep the budget and leave little of it unused', () => {
  const ladder = createLadder(choices);
  const random = createRandom(3);
  const parent = ladder.ranks(knapsack(choices, budget).levels);
  for (const operator of operators) {
    const moved = Array.from({ length: 50 }, () => {
      const ranks = mutate(ladder, parent, budget, operator, random);
      const bytes = ladder.bytes(ranks);
      expect(bytes).toBeLessThanOrEqual(budget);
      expect(bytes).toBeGreaterThan(0.98 * budget);
      return ranks.filter((rank, tensor) => rank !== parent[tensor]).length;
    });
    expect(moved.filter((count) => count > 0).length).toBeGreaterThan(40);
  }
});

test('a budget that allows one allocation only is no endless loop', async () => {
  const { bytes, levels } = smallest(choices);
  const found = await evoPress(choices, bytes, async () => 1, { generations: 2 });
  expect(found.levels).toEqual(levels);
  expect(found.evaluations).toBe(1);
});

test('errors name what is wrong', async () => {
  const one = async () => 1;
  await expect(evoPress(choices, 10, one)).rejects.toThrow('the smallest size is');
  await expect(evoPress(choices, budget, one, { tokens: [4, 4], survivors: [1] })).rejects.toThrow(
    'do not grow',
  );
  await expect(evoPress(choices, budget, one, { survivors: [4] })).rejects.toThrow('3 selections among 16');
  await expect(evoPress(choices, budget, async () => Number.NaN)).rejects.toThrow('a fitness of NaN');
  const start = choices.map(({ levels }) => levels.length - 1);
  await expect(evoPress(choices, budget, one, {}, { start })).rejects.toThrow('more than the budget');
  const { levels } = smallest(choices);
  await expect(evoPress(choices, budget, one, {}, { start: levels.slice(1) })).rejects.toThrow();
});
