import { afterAll, beforeAll, expect, test } from 'vitest';
import { createKernels, type Kernels } from './kernels.js';
import { fromPanel, toPanel } from './panel.js';

const shapes = [
  [1, 1],
  [3, 5],
  [4, 4],
  [16, 32],
  [17, 33],
  [130, 67],
  [33, 40_000],
] as const;

let teams: Kernels[];
beforeAll(async () => {
  teams = await Promise.all([1, 2].map((threads) => createKernels({ threads })));
});
afterAll(() => {
  for (const kernels of teams) kernels.close();
});

const bytesOf = (array: Float32Array) => Buffer.from(array.buffer, array.byteOffset, array.byteLength);
const same = (a: Float32Array, b: Float32Array) => bytesOf(a).equals(bytesOf(b));

test.each(shapes)('%i × %i matrices become panels and come back', async (rows, cols) => {
  const data = Float32Array.from({ length: rows * cols }, (_, i) => i + 1);
  for (const kernels of teams)
    await kernels.scope(async (arena) => {
      const panel = await toPanel(kernels, arena, { rows, cols, data });
      expect(panel.stride).toBe(Math.ceil(rows / 4) * 4);
      const expected = new Float32Array(panel.stride * cols);
      for (let row = 0; row < rows; row++)
        for (let col = 0; col < cols; col++) expected[col * panel.stride + row] = data[row * cols + col] ?? 0;
      expect(same(panel.data, expected)).toBe(true);
      expect(same((await fromPanel(kernels, panel)).data, data)).toBe(true);

      const inside = arena.f32(data.length);
      inside.set(data);
      const again = await toPanel(kernels, arena, { rows, cols, data: inside });
      expect(same(again.data, expected)).toBe(true);
      inside.fill(0);
      await fromPanel(kernels, panel, inside);
      expect(same(inside, data)).toBe(true);
    });
});
