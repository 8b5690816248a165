import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import type { Matrix } from '../types.js';
import { createTargets } from './target.js';

const matrix = (rows: number, cols: number, data: Float32Array): Matrix => ({ rows, cols, data });

/** Moments of inputs x̃ and of x − x̃, with large channels. */
function moments(width: number, tokens: number) {
  const [noise, change] = [normals(tokens * width, 1), normals(tokens * width, 2)];
  const own = noise.map((value, at) => value * (1 + (at % width) / 64));
  const gram = new Float32Array(width * width);
  const crossMoments = new Float32Array(width * width);
  for (let t = 0; t < tokens; t++)
    for (let i = 0; i < width; i++) {
      const [x, d] = [own[t * width + i] ?? 0, 0.3 * (change[t * width + i] ?? 0)];
      for (let j = 0; j < width; j++) {
        const y = own[t * width + j] ?? 0;
        const at = i * width + j;
        gram[at] = (gram[at] ?? 0) + (x * y) / tokens;
        crossMoments[at] = (crossMoments[at] ?? 0) + (d * y) / tokens;
      }
    }
  return { gram: matrix(width, width, gram), crossMoments: matrix(width, width, crossMoments), tokens };
}

test('targets lower the loss of every row, whether rows are done together or in parts', async () => {
  const [rows, cols] = [5000, 256]; // more than fit into one part
  const known = moments(cols, 512);
  const data = normals(rows * cols, 3);
  const targets = createTargets();
  const whole = await targets.of(matrix(rows, cols, data), known);
  const few = await targets.of(matrix(32, cols, data.slice(0, 32 * cols)), known);
  const last = await targets.of(matrix(8, cols, data.slice(-8 * cols)), known);
  await targets.release();
  expect(whole.data.slice(0, 32 * cols)).toEqual(few.data);
  for (const row of [0, 17, 31]) {
    const [w, v] = [data, few.data].map((values) => values.subarray(row * cols, (row + 1) * cols));
    // E(w·x − v·x̃)² − E(w·x)² = v H vᵀ − 2 w (D + H) vᵀ
    const loss = (given: Float32Array) => {
      let sum = 0;
      for (let i = 0; i < cols; i++)
        for (let j = 0; j < cols; j++) {
          const [h, d] = [known.gram.data[i * cols + j] ?? 0, known.crossMoments.data[i * cols + j] ?? 0];
          sum += (given[j] ?? 0) * ((given[i] ?? 0) * h - 2 * (w?.[i] ?? 0) * (d + h));
        }
      return sum;
    };
    expect(loss(v ?? new Float32Array())).toBeLessThan(loss(w ?? new Float32Array()));
  }
  expect(
    Math.max(...whole.data.slice(-8 * cols).map((x, at) => Math.abs(x - (last.data[at] ?? 0)))),
  ).toBeLessThan(1e-4);
});
