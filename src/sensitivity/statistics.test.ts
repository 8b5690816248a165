import { afterAll, beforeAll, expect, test } from 'vitest';
import { normals, uniform } from '../../test/reference/random.js';
import { createKernels, type Kernels } from '../kernels/kernels.js';
import { valueEntropy } from './entropy.js';
import {
  histogram,
  innerProduct,
  randomSigns,
  squaredDistance,
  valueStatistics,
  weightedDifference,
  weightedDistance,
} from './statistics.js';

let teams: Kernels[];
beforeAll(async () => {
  teams = await Promise.all([1, 2].map((threads) => createKernels({ threads })));
});
afterAll(() => {
  for (const kernels of teams) kernels.close();
});

// Odd widths leave a value behind the pairs that vectors hold; the last shape takes several slabs.
const shapes = [
  [1, 1],
  [3, 5],
  [17, 32],
  [130, 67],
  [70, 20_001],
] as const;

test.each(shapes)('sums over %i × %i values agree with plain ones', async (rows, cols) => {
  const data = normals(rows * cols, 1).map((x) => 3 * x + 1);
  const other = normals(rows * cols, 2);
  const matrix = { rows, cols, data };
  const mean = data.reduce((sum, x) => sum + x, 0) / data.length;
  const energy = data.reduce((sum, x) => sum + x * x, 0);
  const deviation = Math.sqrt(Math.max(0, energy / data.length - mean * mean));
  const beyond = data.filter((x) => x > mean + deviation).length / data.length;
  const distance = data.reduce((sum, x, i) => sum + (x - (other[i] ?? 0)) ** 2, 0);
  const third = normals(rows * cols, 3);
  const weights = { ...matrix, data: third };
  const difference = (power: number) =>
    data.reduce((sum, x, i) => sum + (third[i] ?? 0) * (x - (other[i] ?? 0)) ** power, 0);
  const product = data.reduce((sum, x, i) => sum + x * (other[i] ?? 0), 0);
  const scale = Math.max(1, distance, energy) * 1e-10;
  for (const kernels of teams) {
    const statistics = await valueStatistics(kernels, matrix);
    expect(statistics.mean).toBeCloseTo(mean, 9);
    expect(statistics.energy / energy).toBeCloseTo(1, 12);
    expect(statistics.deviation).toBeCloseTo(deviation, 6);
    expect(statistics.outliers).toBeCloseTo(beyond, 12);
    const own = await squaredDistance(kernels, matrix, { ...matrix, data: other });
    expect(own / distance).toBeCloseTo(1, 12);
    const second = { ...matrix, data: other };
    const [first, squared] = [
      await weightedDifference(kernels, matrix, second, weights),
      await weightedDistance(kernels, matrix, second, weights),
    ];
    expect(Math.abs(first - difference(1))).toBeLessThan(scale);
    expect(Math.abs(squared - difference(2))).toBeLessThan(scale);
    const inner = await innerProduct(kernels, matrix, second);
    expect(Math.abs(inner.product - product)).toBeLessThan(scale);
    expect(inner.squares / energy).toBeCloseTo(1, 12);
  }
  const [one, two] = teams as [Kernels, Kernels];
  expect(await valueStatistics(one, matrix)).toEqual(await valueStatistics(two, matrix));
});

test('random signs are the same on any number of threads, as often one as the other, and like no others', async () => {
  const [one, two] = teams as [Kernels, Kernels];
  const [rows, cols] = [300, 1001];
  const { data } = await randomSigns(one, rows, cols, 5);
  expect((await randomSigns(two, rows, cols, 5)).data).toEqual(data);
  expect(data.every((value) => value === 1 || value === -1)).toBe(true);
  // Four standard deviations.
  const bound = 4 * Math.sqrt(rows * cols);
  const sum = (of: (value: number, i: number) => number) =>
    Math.abs(data.reduce((total, x, i) => total + of(x, i), 0));
  expect(sum((x) => x)).toBeLessThan(bound);
  expect(sum((x, i) => x * (data[i + 1] ?? 0))).toBeLessThan(bound);
  expect(sum((x, i) => x * (data[i + cols] ?? 0))).toBeLessThan(bound);
  const other = (await randomSigns(one, rows, cols, 6)).data;
  expect(sum((x, i) => x * (other[i] ?? 0))).toBeLessThan(bound);
});

test('shares above one deviation of known values', async () => {
  const [kernels] = teams as [Kernels];
  // Mean 1, deviation √3: of these four only the 4 lies more than one deviation above.
  const four = { rows: 2, cols: 2, data: Float32Array.of(0, 0, 0, 4) };
  expect(await valueStatistics(kernels, four)).toEqual({
    mean: 1,
    deviation: Math.sqrt(3),
    energy: 16,
    outliers: 0.25,
  });
  const constant = { rows: 1, cols: 6, data: new Float32Array(6).fill(2) };
  expect((await valueStatistics(kernels, constant)).outliers).toBe(0);
  // Of a normal distribution Φ(−1) = 0.1587.
  const many = { rows: 100, cols: 1000, data: normals(100_000, 3) };
  expect((await valueStatistics(kernels, many)).outliers).toBeCloseTo(0.1587, 2);
});

test('histograms count every value, the largest in the last bin', async () => {
  const [kernels] = teams as [Kernels];
  const data = Float32Array.of(0, 0.9, 1, 1.5, 3.9, 4);
  expect([...(await histogram(kernels, { rows: 2, cols: 3, data }, 4))]).toEqual([2, 2, 0, 2]);
  const same = { rows: 1, cols: 3, data: new Float32Array(3).fill(7) };
  expect([...(await histogram(kernels, same, 2))]).toEqual([3, 0]);
});

test('entropy of known distributions', async () => {
  const [kernels] = teams as [Kernels];
  const entropy = (data: Float32Array) => valueEntropy(kernels, { rows: 1, cols: data.length, data });
  expect(await entropy(new Float32Array(9).fill(1))).toBe(0);
  expect(await entropy(Float32Array.of(0, 1))).toBeCloseTo(Math.log(2), 12);
  expect(await entropy(Float32Array.of(0, 0, 0, 1))).toBeCloseTo(2 * Math.log(2) - 0.75 * Math.log(3), 12);
  const next = uniform(1);
  // Uniform values fill all bins alike.
  expect(await entropy(Float32Array.from({ length: 200_000 }, next))).toBeCloseTo(Math.log(256), 2);
  // One far value pushes the others into few bins.
  const crowded = normals(10_000, 4);
  const before = await entropy(crowded);
  crowded[0] = 1000;
  expect(await entropy(crowded)).toBeLessThan(before / 5);
});
