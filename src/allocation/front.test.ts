import { expect, test } from 'vitest';
import { everyAllocation, modelTable } from '../../test/reference/allocations.js';
import { normal } from '../../test/reference/random.js';
import { createRandom } from '../random.js';
import { searchFront } from './front.js';
import { hullFront } from './hull-front.js';
import { crowding, dominates, sortFronts } from './pareto.js';
import { additiveValue, fitAdditive } from './predictor.js';
import { type Allocation, type Choice, total } from './table.js';

/** Losses of the table, wrong by a factor per tensor, and a penalty when neighbours are both small. */
function truth(choices: readonly Choice[], seed: number) {
  const next = normal(seed);
  const factors = choices.map(() => Math.exp(1.5 * next()));
  return async ({ levels }: Allocation) => {
    const losses = levels.map(
      (level, tensor) => (choices[tensor]?.levels[level]?.loss ?? 0) * (factors[tensor] ?? 1),
    );
    const pairs = losses.slice(1).map((loss, index) => Math.sqrt(loss * (losses[index] ?? 0)));
    return [[...losses, ...pairs].reduce((sum, loss) => sum + loss, 0)];
  };
}

/** Area that a front dominates below a corner, in the logarithm of both objectives. */
function volume(front: readonly (readonly number[])[], corner: readonly [number, number]): number {
  const points = front
    .map(([x = 1, y = 1]) => [Math.log(x), Math.log(y)] as const)
    .sort((a, b) => a[0] - b[0]);
  let [area, height] = [0, Math.log(corner[1])];
  for (const [x, y] of points) {
    area += Math.max(0, Math.log(corner[0]) - x) * Math.max(0, height - y);
    height = Math.min(height, y);
  }
  return area;
}

test('the hull is the lower convex hull of all allocations', () => {
  for (let seed = 0; seed < 20; seed++) {
    const choices = modelTable(5, seed, [2, 3, 4, 8]);
    const front = hullFront(choices);
    const all = [...everyAllocation(choices)];
    for (const price of [0, 1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-3]) {
      const least = (points: readonly Allocation[]) =>
        Math.min(...points.map(({ bytes, loss }) => loss + price * bytes));
      expect(least(front) / least(all), `seed ${seed}`).toBeCloseTo(1, 12);
    }
    for (const [index, point] of front.entries()) {
      if (index > 0) expect(point.bytes).toBeGreaterThan(front[index - 1]?.bytes ?? 0);
    }
  }
});

test('the front dominates uniform settings, and that of as many measurements on the hull', async () => {
  for (const seed of [1, 2, 3]) {
    const choices = modelTable(30, seed);
    const measure = truth(choices, seed);
    let calls = 0;
    const front = await searchFront(
      choices,
      (allocation) => {
        calls++;
        return measure(allocation);
      },
      { seed, measurements: 96 },
    );
    expect(calls).toBe(96);
    for (const a of front) for (const b of front) expect(dominates(a.objectives, b.objectives)).toBe(false);
    const corner = [Math.max(...front.map(({ bytes }) => bytes)), 0] as [number, number];
    for (const [level] of (choices[0]?.levels ?? []).entries()) {
      const uniform = total(
        choices,
        choices.map(() => level),
      );
      const objectives = [uniform.bytes, ...(await measure(uniform))];
      corner[1] = Math.max(corner[1], objectives[1] ?? 0);
      const inner = level > 0 && level < 5;
      const beaten = front.some((point) =>
        inner
          ? dominates(point.objectives, objectives)
          : point.objectives.every((value, index) => value <= (objectives[index] ?? 0)),
      );
      expect(beaten, `seed ${seed}, level ${level}`).toBe(true);
    }
    const hull = hullFront(choices);
    const step = Math.max(1, (hull.length - 1) / 95);
    const swept: number[][] = [];
    for (let place = 0; place < hull.length; place += step) {
      const point = hull[Math.floor(place)];
      if (point) swept.push([point.bytes, ...(await measure(point))]);
    }
    expect(
      volume(
        front.map(({ objectives }) => objectives),
        corner,
      ),
    ).toBeGreaterThan(volume(swept, corner));
  }
});

test('a third objective keeps its own trade-offs', async () => {
  const choices = modelTable(10, 4);
  const measure = async (allocation: Allocation) => {
    const [loss = 0] = await truth(choices, 4)(allocation);
    return [loss, allocation.levels.filter((level) => level === 1).length];
  };
  const front = await searchFront(choices, measure, { measurements: 40 });
  expect(front.some(({ objectives }) => objectives[2] === 0)).toBe(true);
  await expect(searchFront(choices, async () => [Number.NaN])).rejects.toThrow('measures NaN');
});

test('the predictor ranks allocations that it has not seen better than the table does', async () => {
  const choices = modelTable(20, 8);
  const measure = truth(choices, 8);
  const random = createRandom(1);
  const sample = async (count: number) => {
    const levels = Array.from({ length: count }, () =>
      choices.map((choice) => random.integer(choice.levels.length)),
    );
    const values: number[] = [];
    for (const own of levels) values.push((await measure(total(choices, own)))[0] ?? 0);
    return { levels, values };
  };
  const seen = await sample(150);
  const fresh = await sample(150);
  const model = fitAdditive(choices, seen.levels, seen.values);
  const error = (predicted: (levels: readonly number[]) => number) => {
    const logs = fresh.levels.map((own, index) => Math.log(predicted(own) / (fresh.values[index] ?? 1)));
    const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length;
    return logs.reduce((sum, log) => sum + (log - mean) ** 2, 0);
  };
  expect(error((own) => Math.max(1e-12, additiveValue(model, own)))).toBeLessThan(
    0.5 * error((own) => total(choices, own).loss),
  );
});

test('fronts and crowding of a known set', () => {
  const points = [
    [1, 4],
    [2, 2],
    [4, 1],
    [3, 3],
    [4, 4],
    [2, 2],
  ];
  expect(sortFronts(points)).toEqual([[0, 1, 2, 5], [3], [4]]);
  expect(
    crowding([
      [0, 4],
      [1, 2],
      [4, 0],
    ]),
  ).toEqual([Infinity, 2, Infinity]);
});
