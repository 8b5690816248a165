import { describe, expect, test } from 'vitest';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { uniform } from '../../../test/reference/random.js';
import { strideOf } from '../../kernels/panel.js';
import { findGrid } from '../index.js';
import { vectorCells, vectorStore } from './format.js';
import { findVectorGrid } from './vector.js';

const grid = (name: string) => {
  const found = findVectorGrid(name);
  if (!found) throw new Error(`there is no ${name}`);
  return found;
};

describe('names of vector grids', () => {
  test.each([
    ['vq-d4-k256', { dimension: 4, sizes: [256], groupSize: Number.POSITIVE_INFINITY, outliers: 0 }],
    ['vq-d8-k65536-r256', { dimension: 8, sizes: [65536, 256] }],
    ['vq-d3-k64-g48-o5', { dimension: 3, groupSize: 48, outliers: 5 }],
  ])('%s', (name, format) => {
    expect(grid(name).format(64, 96)).toMatchObject(format);
    expect(findGrid(name).name).toBe(name);
  });

  test.each([
    'vq-d1-k16',
    'vq-d9-k16',
    'vq-d4-k100',
    'vq-d4-k2',
    'vq-d4-k131072',
    'vq-d4-k256-g6',
    'vq-d4-k256-g0',
    'vq-d4',
    'vq-',
  ])('%s is none', (name) => {
    expect(findVectorGrid(name)).toBeUndefined();
  });

  test('rows too short for a vector, or too long for numbers of two bytes, are refused', () => {
    expect(() => grid('vq-d8-k16').bytes(4, 7)).toThrow('type vq-d8-k16 does not fit rows of 7');
    expect(() => grid('vq-d4-k16-o8').bytes(4, 8)).toThrow('does not fit rows of 8');
    expect(() => grid('vq-d4-k16').bytes(4, 65540)).toThrow('does not fit rows of 65540');
  });
});

describe('bytes of vector grids', () => {
  test('count codebooks, scales, outlier columns and codes', () => {
    // 99 columns: 24 vectors of 4 in 2 groups of at most 64 columns, 3 outlier columns.
    const codebooks = 2 * (256 + 16) * 4 * 2;
    const row = (24 * (8 + 4) + 3 * 8) / 8;
    expect(grid('vq-d4-k256-r16-g64').bytes(10, 99)).toBe(codebooks + 10 * 2 + 3 * (2 + 2) + 10 * row);
    expect(grid('vq-d2-k16').bytes(0, 256)).toBe(0);
    expect(grid('vq-d2-k16').bytes(256, 256)).toBe(16 * 2 * 2 + 256 * 2 + (256 * 256 * 2) / 8);
  });

  test.each([
    [128, 256],
    [256, 256],
    [288, 288],
    [256, 768],
    [768, 288],
    [4096, 4096],
    [11008, 4096],
  ])('vq-2, vq-2.25 … stay within their bits and use them for %i × %i', (rows, cols) => {
    let last = 0;
    for (const bits of [2, 2.25, 2.5, 3, 3.5, 4]) {
      const used = (8 * grid(`vq-${bits}`).bytes(rows, cols)) / (rows * cols);
      expect(used).toBeLessThanOrEqual(bits);
      expect(used).toBeGreaterThan(bits - 0.5);
      expect(used).toBeGreaterThanOrEqual(last);
      last = used;
    }
  });

  test('larger layers take larger vectors', () => {
    const dimension = (rows: number) => grid('vq-2.125').format(rows, rows).dimension;
    expect(dimension(256)).toBeLessThan(dimension(1024));
    expect(dimension(1024)).toBeLessThan(dimension(4096));
  });

  test('too few bits for any codebook', () => {
    expect(() => grid('vq-1.5').bytes(2, 8)).toThrow('no vector codebook stores 2 × 8 weights in 1.5 bits');
  });
});

describe('packing of vector grids', () => {
  test.each([
    ['vq-d4-k256', 9, 32],
    ['vq-d3-k64', 17, 32],
    ['vq-d7-k32-r8', 33, 71],
    ['vq-d2-k8-g6-o5', 5, 24],
    ['vq-d8-k65536-r4', 40, 48],
  ])('%s of %i × %i decodes to what went in', async (name, rows, cols) => {
    const seed = 5;
    const random = uniform(seed);
    const type = grid(name);
    const format = type.format(rows, cols);
    const stride = strideOf(rows);
    await kernels.scope(async (arena) => {
      const parameters = type.allocate(arena, rows, cols);
      const store = vectorStore(parameters);
      // Eighths between −16 and 16 are halves.
      const eighth = () => Math.round(256 * random() - 128) / 8 || 1;
      for (const array of [store.codebooks, store.outlierScales, parameters.scale.subarray(0, rows)])
        for (const i of array.keys()) array[i] = eighth();
      for (const i of store.outlierColumns.keys()) store.outlierColumns[i] = 3 * i + 1;
      const expected = new Float32Array(cols * stride);
      for (const { columns, stages } of vectorCells(arena, format, parameters, rows, cols))
        for (const { size, entries, codes } of stages)
          for (let row = 0; row < rows; row++) {
            const code = Math.floor(size * random());
            codes[row] = code;
            for (const [i, column] of columns.entries()) {
              const at = column * stride + row;
              const value = (parameters.scale[row] ?? 0) * (entries[code * columns.length + i] ?? 0);
              expected[at] = (expected[at] ?? 0) + value;
            }
          }
      const empty = arena.f32(cols * stride);
      const tensor = { grid: type, rows, cols, stride, parameters, values: empty };
      const bytes = await type.pack(kernels, tensor);
      expect(bytes.length).toBe(type.bytes(rows, cols));
      const decoded = await type.unpack(kernels, arena, bytes, rows, cols);
      // Zeroes of either sign are alike, as in the padding.
      expect(
        decoded.values.map((value) => value + 0),
        `seed ${seed}`,
      ).toEqual(expected);
      const again = await type.pack(kernels, decoded);
      expect(Buffer.from(again).equals(bytes)).toBe(true);
    });
  });

  test('bytes that do not belong to the shape are refused', async () => {
    const type = grid('vq-d4-k16-o4');
    await kernels.scope(async (arena) => {
      const bytes = new Uint8Array(type.bytes(8, 32));
      await expect(type.unpack(kernels, arena, bytes.subarray(1), 8, 32)).rejects.toThrow(
        'are not 8 × 32 weights of type vq-d4-k16-o4',
      );
      // Four outlier columns, all of number zero.
      await expect(type.unpack(kernels, arena, bytes, 8, 32)).rejects.toThrow('outlier columns');
    });
  });
});
