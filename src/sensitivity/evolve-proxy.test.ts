import { expect, test } from 'vitest';
import { normal, uniform } from '../../test/reference/random.js';
import { evolveProxy, proxyCorrelation } from './evolve-proxy.js';
import { type Expression, evaluate, formula, partAt, replaceAt, sizeOf } from './expression.js';

/** Statistics of tensors and levels, and a loss that follows ε · trace · √depth, with noise. */
function rows(count: number, seed: number) {
  const [random, noise] = [uniform(seed), normal(seed + 1)];
  const draw = (low: number, high: number) =>
    Array.from({ length: count }, () => low * (high / low) ** random());
  const columns = {
    epsilon: draw(1e-4, 1e-1),
    trace: draw(1e-2, 1e2),
    depth: draw(1, 30),
    kurtosis: draw(3, 30),
    params: draw(1e5, 1e7),
  };
  const losses = columns.epsilon.map(
    (epsilon, row) =>
      epsilon * (columns.trace[row] ?? 0) * Math.sqrt(columns.depth[row] ?? 0) * Math.exp(0.3 * noise()),
  );
  return { columns, losses };
}

test('beats every statistic alone, on rows it has not seen, too', () => {
  for (const seed of [1, 2, 3]) {
    const seen = rows(120, seed);
    const fresh = rows(200, seed + 100);
    const proxy = evolveProxy(seen.columns, seen.losses, { seed, generations: 30 });
    const best = Math.max(...Object.values(proxy.columns));
    expect(proxy.correlation).toBe(proxyCorrelation(proxy.expression, seen.columns, seen.losses));
    expect(proxy.correlation, proxy.formula).toBeGreaterThan(Math.max(0.95, best + 0.05));
    for (const column of Object.keys(fresh.columns)) {
      const hand = proxyCorrelation({ column }, fresh.columns, fresh.losses);
      expect(proxyCorrelation(proxy.expression, fresh.columns, fresh.losses)).toBeGreaterThan(hand + 0.05);
    }
    expect(evolveProxy(seen.columns, seen.losses, { seed, generations: 30 })).toEqual(proxy);
  }
});

test('is never worse than the best statistic, even on noise', () => {
  const { columns } = rows(30, 5);
  const noise = normal(9);
  const proxy = evolveProxy(columns, columns.depth.map(noise), { generations: 2, population: 5 });
  expect(proxy.correlation).toBeGreaterThanOrEqual(Math.max(...Object.values(proxy.columns)));
});

test('formulas: values, writing, parts', () => {
  const expression: Expression = {
    binary: '*',
    left: { unary: 'sqrt', of: { column: 'a' } },
    right: { binary: 'max', left: { column: 'b' }, right: { constant: 2 } },
  };
  expect(evaluate(expression, { a: [4, 9], b: [1, 5] }, 2)).toEqual([4, 15]);
  expect(formula(expression)).toBe('(sqrt(a) * max(b, 2))');
  expect(sizeOf(expression)).toBe(6);
  const parts = [0, 1, 2, 3, 4, 5].map((place) => formula(partAt(expression, place)));
  expect(parts).toEqual(['(sqrt(a) * max(b, 2))', 'sqrt(a)', 'a', 'max(b, 2)', 'b', '2']);
  expect(formula(replaceAt(expression, 4, { column: 'c' }))).toBe('(sqrt(a) * max(c, 2))');
  const zero: Expression = {
    binary: '/',
    left: { column: 'a' },
    right: { unary: 'inverse', of: { column: 'b' } },
  };
  expect(evaluate(zero, { a: [1], b: [0] }, 1)).toEqual([0]);
});

test('errors name what is missing', () => {
  expect(() => evolveProxy({ a: [1, 2] }, [1, 2])).toThrow('2 rows are too few');
  expect(() => evolveProxy({ a: [1, 2] }, [1, 2, 3])).toThrow('statistic a has 2 values for 3 rows');
});
