import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createRandom } from '../random.js';
import { optimise, type Settings, type Space } from './bayesian.js';
import { expectedImprovement, fitSurrogate } from './gaussian.js';

interface Problem {
  readonly name: string;
  readonly space: Space;
  readonly value: (settings: Settings) => number;
}

const problems: readonly Problem[] = [
  {
    name: 'Branin',
    space: { x: { kind: 'real', low: -5, high: 10 }, y: { kind: 'real', low: 0, high: 15 } },
    value: ({ x, y }) => {
      const [a, b] = [Number(x), Number(y)];
      const bowl = (b - (5.1 / (4 * Math.PI ** 2)) * a ** 2 + (5 / Math.PI) * a - 6) ** 2;
      return bowl + 10 * (1 - 1 / (8 * Math.PI)) * Math.cos(a) + 10;
    },
  },
  {
    name: 'settings: damping, sweeps, order, solver',
    space: {
      damping: { kind: 'real', low: 1e-4, high: 1, scale: 'log' },
      sweeps: { kind: 'integer', low: 1, high: 64, scale: 'log' },
      order: { kind: 'choice', values: ['natural', 'activation'] },
      solver: { kind: 'choice', values: ['rtn', 'gptq', 'quantease'] },
    },
    value: ({ damping, sweeps, order, solver }) => {
      const base = { rtn: 1, gptq: 0.3, quantease: 0.2 }[String(solver)] ?? 1;
      const off = Math.log10(Number(damping)) + (order === 'natural' ? 2 : 1.5);
      return base + 0.1 * off ** 2 + 0.1 / Number(sweeps) + (order === 'natural' ? 0.03 : 0);
    },
  },
];

test.each(problems)('beats random search in equal evaluations: $name', async ({ space, value }) => {
  const guided: number[] = [];
  const random: number[] = [];
  for (let seed = 0; seed < 21; seed++) {
    const options = { evaluations: 24, candidates: 200, seed };
    const { best, trials } = await optimise(space, async (settings) => value(settings), options);
    expect(trials).toHaveLength(24);
    expect(best.value).toBe(Math.min(...trials.map((trial) => trial.value)));
    guided.push(best.value);
    // All of the evaluations spread over the space: a random search at its best.
    const spread = await optimise(space, async (settings) => value(settings), { ...options, initial: 24 });
    random.push(spread.best.value);
  }
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[10] ?? 0;
  const optimum = { 2: 0.397887, 4: 0.2 + 0.1 / 64 }[Object.keys(space).length] ?? 0;
  expect(median(guided) - optimum).toBeLessThan(0.5 * (median(random) - optimum));
});

interface Measurements {
  readonly space: { readonly damping: readonly number[] } & Readonly<
    Record<string, readonly (number | string)[]>
  >;
  readonly recipes: readonly { readonly recipe: Settings; readonly value: number }[];
}

test('beats random search on recipes of tales that were measured (bench/tuning.ts)', async () => {
  const path = new URL('../../test/fixtures/recipes.json', import.meta.url);
  const { space: lists, recipes } = JSON.parse(readFileSync(path, 'utf8')) as Measurements;
  const choice = (name: string): Space => ({
    [name]: { kind: 'choice', values: (lists[name] ?? []).map(String) },
  });
  const space: Space = {
    // By its place among those that were measured, which are about evenly spaced by logarithm.
    damping: { kind: 'integer', low: 0, high: lists.damping.length - 1 },
    ...choice('order'),
    ...choice('groups'),
    ...choice('target'),
  };
  const known = new Map(recipes.map(({ recipe, value }) => [Object.values(recipe).join(), value]));
  const measure = async ({ damping, order, groups, target }: Settings) =>
    known.get([lists.damping[Number(damping)], order, groups, target].join()) ?? Number.NaN;
  const least = Math.min(...recipes.map(({ value }) => value));
  let [guided, random] = [0, 0];
  for (let seed = 0; seed < 60; seed++) {
    const options = { evaluations: 12, initial: 4, candidates: 200, seed };
    guided += (await optimise(space, measure, options)).best.value - least;
    random += (await optimise(space, measure, { ...options, initial: 12 })).best.value - least;
  }
  expect(guided).toBeLessThan(0.85 * random);
});

test('is the same for the same seed, and goes on from recipes tried before', async () => {
  const [problem] = problems;
  const measure = async (settings: Settings) => problem?.value(settings) ?? 0;
  const space = problem?.space ?? {};
  const options = { evaluations: 12, seed: 3, candidates: 50 };
  const first = await optimise(space, measure, options);
  expect(await optimise(space, measure, options)).toEqual(first);
  let calls = 0;
  const counted = async (settings: Settings) => {
    calls++;
    return measure(settings);
  };
  const more = await optimise(space, counted, { ...options, evaluations: 15 }, first.trials);
  expect(calls).toBe(3);
  expect(more.best.value).toBeLessThanOrEqual(first.best.value);
});

test('failures are avoided; a small space is used up', async () => {
  const space: Space = { n: { kind: 'integer', low: 0, high: 3 }, c: { kind: 'choice', values: ['a', 'b'] } };
  const measure = async ({ n, c }: Settings) => (c === 'b' ? Number.NaN : Number(n));
  const { best, trials } = await optimise(space, measure, { evaluations: 100, initial: 2 });
  expect(best.settings).toEqual({ c: 'a', n: 0 });
  expect(trials.length).toBeLessThanOrEqual(8);
  await expect(optimise(space, async () => Number.NaN, { evaluations: 3 })).rejects.toThrow(
    'none of 3 settings',
  );
  const bad: Space = { x: { kind: 'real', low: 0, high: 1, scale: 'log' } };
  await expect(optimise(bad, measure)).rejects.toThrow('option x cannot range from 0 to 1');
});

test('the surrogate passes through its points and is unsure between them', () => {
  const points = [[0], [0.3], [0.6], [1]];
  const surrogate = fitSurrogate(points, [1, -1, 2, 0]);
  const known = surrogate.predict([0.3]);
  const unknown = surrogate.predict([0.8]);
  expect(known.mean).toBeCloseTo(-1, 1);
  expect(unknown.deviation).toBeGreaterThan(3 * known.deviation);
});

test('expected improvement equals its integral', () => {
  const random = createRandom(1);
  for (let trial = 0; trial < 5; trial++) {
    const [best, mean, deviation] = [random.normal(), random.normal(), 0.2 + random.next()];
    let integral = 0;
    const step = 1e-3;
    for (let z = -8; z < 8; z += step) {
      const density = Math.exp(-(z ** 2) / 2) / Math.sqrt(2 * Math.PI);
      integral += Math.max(0, best - mean - deviation * z) * density * step;
    }
    expect(expectedImprovement(best, mean, deviation)).toBeCloseTo(integral, 3);
  }
});
