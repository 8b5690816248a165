import { expect, test } from 'vitest';
import { modelTable } from '../../test/reference/allocations.js';
import { createRandom } from '../random.js';
import { bisect } from './bisection.js';
import { knapsack } from './knapsack.js';
import { type Allocation, smallest } from './table.js';

const choices = modelTable(40, 3);
const largest = knapsack(choices, Number.MAX_SAFE_INTEGER);

test('finds the smallest allocation that holds the limit', async () => {
  for (const share of [1.1, 2, 10, 50]) {
    const limit = share * largest.loss;
    const measure = async ({ loss }: Allocation) => ({ value: loss });
    const found = await bisect(choices, limit, measure, { measurements: 30, tolerance: 0.001 });
    expect(found.quality.value).toBeLessThanOrEqual(limit);
    expect(found.measurements).toBeLessThanOrEqual(30);
    expect(knapsack(choices, Math.floor(found.bytes * 0.999)).loss).toBeGreaterThan(limit);
    expect(found.failedBytes ?? 0).toBeGreaterThan(0.998 * found.bytes);
  }
});

test('twelve measurements are enough for half a per cent', async () => {
  const limit = 3 * largest.loss;
  const found = await bisect(choices, limit, async ({ loss }) => ({ value: loss }));
  expect(found.measurements).toBeLessThanOrEqual(12);
  expect(knapsack(choices, Math.floor(found.bytes * 0.995)).loss).toBeGreaterThan(limit);
});

test('with noise the limit still holds in truth', async () => {
  const limit = 4 * largest.loss;
  let missed = 0;
  for (let seed = 0; seed < 40; seed++) {
    const random = createRandom(seed);
    const error = 0.05 * limit;
    const measure = async ({ loss }: Allocation) => ({ value: loss + error * random.normal(), error });
    const found = await bisect(choices, limit, measure);
    if (found.loss > limit) missed++;
    expect(found.bytes).toBeLessThan(largest.bytes);
  }
  // Every search asks several times near the limit, each at a chance of 1 in 44 to be misled.
  expect(missed).toBeLessThanOrEqual(4);
});

test('the ends: everything holds, nothing holds, one measurement', async () => {
  const always = await bisect(choices, 1, async () => ({ value: 0 }));
  expect(always.bytes).toBe(smallest(choices).bytes);
  expect(always.failedBytes).toBeUndefined();
  await expect(bisect(choices, 0.1, async () => ({ value: 0.2, error: 0.01 }))).rejects.toThrow(
    'no allocation holds the limit of 0.1: the best has 0.2 ± 0.01',
  );
  await expect(bisect(choices, 0.1, async () => ({ value: Number.NaN }))).rejects.toThrow('the best has NaN');
  const one = await bisect(choices, 1, async () => ({ value: 0 }), { measurements: 1 });
  expect(one.bytes).toBe(largest.bytes);
});
