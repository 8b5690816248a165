import { describe, expect, test } from 'vitest';
import { quantize, total } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { createKernels } from '../../kernels/kernels.js';
import type { Matrix } from '../../types.js';
import { findGrid } from '../index.js';
import { findNestedGrid, nestedPrefix } from './nested.js';
import { nestedBits, nestedDistortion, nestedLevels } from './nested-levels.js';

const seed = 61;
const matrix = (rows: number, cols: number, data = normals(rows * cols, seed)): Matrix => ({
  rows,
  cols,
  data,
});

describe('nested levels', () => {
  test('ascend, mirror and lie inside the cells of every lower precision', () => {
    const fine = nestedLevels(8);
    for (const bits of nestedBits) {
      const levels = nestedLevels(bits);
      expect(levels.length).toBe(2 ** bits);
      expect([...levels]).toEqual([...new Set(levels)].sort((a, b) => a - b));
      expect([...levels].map((level) => -level).reverse()).toEqual([...levels]);
      const size = 256 / levels.length;
      for (const [code, level] of levels.entries()) {
        expect(level).toBeGreaterThanOrEqual(fine[code * size] ?? Number.NaN);
        expect(level).toBeLessThanOrEqual(fine[(code + 1) * size - 1] ?? Number.NaN);
      }
    }
  });

  test('are near the best that so many levels can do for normal variables', () => {
    // Max, 1960, table I, for 4 and 16 levels; Panter and Dite's limit above.
    const best = { 2: 0.1175, 4: 0.009497, 6: 2.721 / 64 ** 2, 8: 2.721 / 256 ** 2 };
    for (const bits of nestedBits) {
      const ratio = nestedDistortion(bits) / best[bits];
      expect(ratio, `${bits} bits`).toBeGreaterThan(0.95);
      expect(ratio, `${bits} bits`).toBeLessThan(1.06);
    }
  });
});

describe('nested grids', () => {
  test.each(['nested8', 'nested6', 'nested4', 'nested2'])(
    '%s is packed and unpacked to the same',
    async (type) => {
      for (const [rows, cols] of [
        [21, 37],
        [4, 256],
      ] as const)
        expect((await quantize(kernels, type, matrix(rows, cols))).values.every(Number.isFinite)).toBe(true);
      const zeros = await quantize(kernels, type, matrix(3, 8, new Float32Array(24)));
      expect(zeros.values.every((value) => value === 0)).toBe(true);
    },
  );

  test('a prefix of the bytes is the tensor at a lower precision, with the high bits of the codes', async () => {
    const [rows, cols] = [21, 96];
    const { bytes, codes } = await quantize(kernels, 'nested8', matrix(rows, cols));
    for (const bits of nestedBits) {
      await kernels.scope(async (arena) => {
        const prefix = nestedPrefix(bytes, rows, cols, bits);
        const lower = await findGrid(`nested${bits}`).unpack(kernels, arena, prefix, rows, cols);
        for (let i = 0; i < codes.length; i++)
          if (i % lower.stride < rows) expect(lower.codes?.[i]).toBe((codes[i] ?? 0) >> (8 - bits));
      });
    }
  });

  test('8, 6, 4 and 2 bits from one file lose no more than each quantized by itself', async () => {
    const random = uniform(seed);
    for (const { name, ...layer } of await talesLayers()) {
      const { rows, cols, data } = layer;
      const importance = Float32Array.from({ length: cols }, () => 10 ** random());
      const { bytes } = await quantize(kernels, 'nested8', layer, importance);
      for (const bits of nestedBits) {
        const direct = total((await quantize(kernels, `int${bits}-channel`, layer, importance)).errors);
        const own = await kernels.scope(async (arena) => {
          const part = nestedPrefix(bytes, rows, cols, bits);
          const { stride, values } = await findGrid(`nested${bits}`).unpack(kernels, arena, part, rows, cols);
          return data.reduce((sum, w, i) => {
            const [row, col] = [Math.floor(i / cols), i % cols];
            return sum + (importance[col] ?? 0) * (w - (values[col * stride + row] ?? 0)) ** 2;
          }, 0);
        });
        expect(own / direct, `${name} at ${bits} bits, seed ${seed}`).toBeLessThan(1.05);
      }
    }
  });

  test('cost two bits less without their lowest two', () => {
    const bytes = nestedBits.map((bits) => findNestedGrid(`nested${bits}`)?.bytes(16, 64));
    expect(bytes).toEqual([8, 6, 4, 2].map((bits) => (bits / 2) * 16 * (4 + 16)));
  });

  test('are the same with any number of threads', async () => {
    const alone = await createKernels();
    const weight = matrix(70, 128);
    expect(await quantize(alone, 'nested6', weight)).toEqual(await quantize(kernels, 'nested6', weight));
    alone.close();
  });

  test('lose less with more bits on every row', async () => {
    const weight = matrix(20, 256);
    const errors: number[] = [];
    for (const bits of nestedBits)
      errors.push(total((await quantize(kernels, `nested${bits}`, weight)).errors));
    expect(errors).toEqual([...errors].sort((a, b) => a - b));
  });

  test('have names, and nothing else does', () => {
    for (const name of ['nested', 'nested3', 'nested8-g32', 'nested16'])
      expect(findNestedGrid(name), name).toBeUndefined();
  });
});
