import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import type { Matrix } from '../types.js';
import { compareEmbeddings } from './embedding-summary.js';
import { retrieval } from './retrieval.js';

/** Points on the unit circle. */
const circle = (degrees: readonly number[]): Matrix => ({
  rows: degrees.length,
  cols: 2,
  data: Float32Array.from(
    degrees.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
  ),
});

test('orders that are worked out by hand', async () => {
  // Nearest first, of the original 0: 1 2, 1: 0 2, 2: 1 0; of the other 0: 1 2, 1: 2 0, 2: 1 0.
  const original = circle([0, 10, 30]);
  const changed = circle([0, 10, 15]);
  const { top1, top10, ndcg10 } = await retrieval(changed, original, { threads: 1 });
  expect(top1).toBeCloseTo(2 / 3, 12);
  expect(top10).toBeCloseTo(1, 12);
  const swapped = (9 + 10 / Math.log2(3)) / (10 + 9 / Math.log2(3));
  expect(ndcg10).toBeCloseTo((2 + swapped) / 3, 12);
});

test('figures get worse with more noise, and are perfect without', async () => {
  const [rows, cols] = [60, 16];
  const noisy = (noise: number): Matrix => {
    const [signal, error] = [normals(rows * cols, 1), normals(rows * cols, 2)];
    const data = signal.map((value, at) => value + noise * (error[at] ?? 0));
    for (let row = 0; row < rows; row++) {
      const part = data.subarray(row * cols, (row + 1) * cols);
      const length = Math.hypot(...part);
      part.set(part.map((value) => value / length));
    }
    return { rows, cols, data };
  };
  const compare = (noise: number) => compareEmbeddings(noisy(noise), noisy(0), { threads: 1 });
  const [none, some, much] = [await compare(0), await compare(0.1), await compare(1)];
  expect(none.cosine).toEqual({ mean: 1, p10: 1, p1: 1, min: 1 });
  expect(none.retrieval.ndcg10).toBeCloseTo(1, 12);
  // Noise of a tenth turns by an angle whose tangent is about a tenth.
  expect(some.cosine.mean).toBeCloseTo(1 / Math.hypot(1, 0.1), 2);
  for (const better of ['top1', 'top10', 'ndcg10'] as const) {
    expect(some.retrieval[better]).toBeLessThan(1);
    expect(much.retrieval[better]).toBeLessThan(some.retrieval[better]);
  }
  expect(much.cosine.min).toBeLessThan(some.cosine.min);
});
