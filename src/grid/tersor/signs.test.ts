import { describe, expect, test } from 'vitest';
import { type Quantized, quantize, total } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { createKernels } from '../../kernels/kernels.js';
import type { Matrix } from '../../types.js';
import { findSignGrid } from './signs.js';

const seed = 41;
const matrix = (rows: number, cols: number, data = normals(rows * cols, seed)): Matrix => ({
  rows,
  cols,
  data,
});
const types = ['signs1', 'signs2', 'signs3', 'signs4'];

describe('sign planes', () => {
  test('one plane has the weighted mean magnitude as its scale', async () => {
    const random = uniform(seed);
    const importance = Float32Array.from({ length: 50 }, () => 0.1 + random());
    const { data } = matrix(3, 50);
    const { codebook } = await quantize(kernels, 'signs1', matrix(3, 50), importance);
    for (let row = 0; row < 3; row++) {
      const weights = [...importance];
      const mean =
        weights.reduce((sum, w, i) => sum + w * Math.abs(data[row * 50 + i] ?? 0), 0) / total(weights);
      expect((codebook?.[4 + row] ?? 0) / mean).toBeCloseTo(1, 3);
      expect(codebook?.[row]).toBe(-(codebook?.[4 + row] ?? 0));
    }
  });

  test('leave less of every row the more there are', async () => {
    const random = uniform(seed + 1);
    const skewed = Float32Array.from({ length: 20 * 96 }, () => random() ** 3);
    for (const data of [normals(20 * 96, seed), skewed]) {
      const losses: Quantized[] = [];
      for (const type of types) losses.push(await quantize(kernels, type, matrix(20, 96, data)));
      for (const [fewer, more] of losses.slice(1).map((own, i) => [losses[i], own] as const)) {
        for (const [row, error] of more.errors.entries())
          expect(error / (fewer?.errors[row] ?? 0), `row ${row}, seed ${seed}`).toBeLessThan(1);
      }
    }
  });

  test('leave about a quarter to a third of the error with every plane, on layers of a language model', async () => {
    for (const { name, ...layer } of await talesLayers()) {
      const errors: number[] = [];
      for (const type of types) errors.push(total((await quantize(kernels, type, layer)).errors));
      const shares = errors.slice(1).map((error, i) => error / (errors[i] ?? 0));
      expect(Math.max(...shares), name).toBeLessThan(0.4);
    }
  });

  test('represent what is made of them exactly', async () => {
    const scales = [2, 0.5, 0.125];
    const data = Float32Array.from({ length: 4 * 64 }, (_, i) =>
      scales.reduce((sum, scale, plane) => sum + (((i * 37) >> plane) & 1 ? scale : -scale), 0),
    );
    const { errors } = await quantize(kernels, 'signs3', matrix(4, 64, data));
    expect(total(errors)).toBeLessThan(1e-9);
  });

  test('make do with zeros, equal weights and inputs that do not matter', async () => {
    const data = Float32Array.from([...Array(40).fill(0), ...Array(40).fill(-3)]);
    for (const type of types) {
      const { values } = await quantize(kernels, type, matrix(2, 40, data), new Float32Array(40));
      expect(values.every(Number.isFinite), type).toBe(true);
      expect(values[40], type).toBeCloseTo(-3, 2);
      expect(values[0], type).toBeCloseTo(0, 5);
    }
  });

  test('are the same with any number of threads', async () => {
    const alone = await createKernels();
    const weight = matrix(70, 128);
    expect(await quantize(alone, 'signs3', weight)).toEqual(await quantize(kernels, 'signs3', weight));
    alone.close();
  });

  test('have names, and nothing else does', () => {
    expect(findSignGrid('signs3')?.bytes(5, 100)).toBe(5 * (38 + 6));
    for (const name of ['signs', 'signs0', 'signs5', 'signs2-g32'])
      expect(findSignGrid(name), name).toBeUndefined();
  });
});
