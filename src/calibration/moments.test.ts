import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { createMoments, stripRows } from './moments.js';

test('sums too wide for one piece, and their difference, are right in every strip', async () => {
  const [width, tokens] = [3000, 8];
  const height = stripRows(width);
  expect(height).toBeLessThan(width);
  const moments = createMoments();
  const [sum, other] = [moments.sum(width), moments.sum(width)];
  const batches = [1, 2].map((seed) => normals(tokens * width, seed));
  for (const x of batches) {
    await sum.add(x, x);
    await other.add(x.map(Math.abs), x);
  }
  const a = other.mean(2 * tokens);
  const b = sum.mean(2 * tokens);
  const at = (i: number, j: number, f: (x: number) => number) => {
    let total = 0;
    for (const x of batches)
      for (let t = 0; t < tokens; t++) total += f(x[t * width + i] ?? 0) * (x[t * width + j] ?? 0);
    return total / (2 * tokens);
  };
  const places = [0, 1, height - 1, height, height + 1, width - 1];
  for (const i of places)
    for (const j of places)
      expect(b.data[i * width + j]).toBeCloseTo(
        at(i, j, (x) => x),
        5,
      );
  const difference = await moments.subtract(a, b);
  for (const i of places)
    for (const j of places)
      expect(difference.data[i * width + j]).toBeCloseTo(at(i, j, Math.abs) - at(i, j, (x) => x), 5);
  await moments.release();
});
