import { describe, expect, test } from 'vitest';
import { gemm, kernels } from '../../test/fixtures/solver-context.js';
import { syntheticGram } from '../../test/reference/gram.js';
import { normals } from '../../test/reference/random.js';
import { choleskyReference } from '../../test/reference/solvers.js';
import { createKernels } from '../kernels/kernels.js';
import type { Matrix } from '../types.js';
import { type Factor, factorDamped, meanDiagonal, solveRows } from './cholesky.js';

/** L as a dense matrix in double precision. */
function unpack({ size, blockSize, columns }: Factor): Float64Array {
  const dense = new Float64Array(size * size);
  for (const [b, column] of columns.entries()) {
    const from = b * blockSize;
    const width = Math.min(blockSize, size - from);
    for (let i = 0; i < column.length; i++) {
      dense[(from + Math.floor(i / width)) * size + from + (i % width)] = column[i] ?? Number.NaN;
    }
  }
  return dense;
}

function factor(gram: Matrix, damping: number, blockSize: number, reverse = true): Promise<Factor> {
  return kernels.scope((arena) => {
    const order = arena.i32(gram.rows);
    for (let i = 0; i < gram.rows; i++) order[i] = reverse ? gram.rows - 1 - i : i;
    return factorDamped({ kernels, gemm }, gram, order, damping, blockSize);
  });
}

function expectClose(actual: Float64Array, expected: Float64Array, tolerance: number): void {
  let [difference, norm] = [0, 0];
  for (const [i, value] of expected.entries()) {
    difference += (value - (actual[i] ?? Number.NaN)) ** 2;
    norm += value ** 2;
  }
  expect(Math.sqrt(difference / norm)).toBeLessThan(tolerance);
}

describe('damped Cholesky factor', () => {
  test.each([
    [1, 8],
    [7, 8],
    [64, 16],
    [130, 32],
    [300, 64],
    [300, 512],
  ])('of size %i in blocks of %i equals the dense double one', async (size, blockSize) => {
    const gram = await syntheticGram(gemm, size, 7, { rank: 2 * size });
    for (const reverse of [false, true]) {
      const result = await factor(gram, 0.01, blockSize, reverse);
      expect(result.damping).toBe(0.01);
      const position = (i: number) => (reverse ? size - 1 - i : i);
      const dense = Float64Array.from({ length: size * size }, (_, at) => {
        const [i, j] = [Math.floor(at / size), at % size];
        const value = gram.data[position(i) * size + position(j)] ?? Number.NaN;
        return value / result.scale + (i === j ? 0.01 : 0);
      });
      expectClose(unpack(result), choleskyReference(dense, size), 2e-6);
    }
  });

  test('stays accurate on a spectrum of five decades', async () => {
    const gram = await syntheticGram(gemm, 256, 3, { rank: 128, decay: 2, outliers: 0.02, floor: 1e-6 });
    const result = await factor(gram, 1e-4, 64, false);
    const lower = unpack(result);
    const product = new Float64Array(256 * 256);
    for (let i = 0; i < 256; i++) {
      for (let j = 0; j < 256; j++) {
        for (let k = 0; k < 256; k++)
          product[i * 256 + j] =
            (product[i * 256 + j] ?? 0) + (lower[i * 256 + k] ?? 0) * (lower[j * 256 + k] ?? 0);
      }
    }
    const damped = Float64Array.from(
      gram.data,
      (value, at) => value / result.scale + (at % 257 === 0 ? 1e-4 : 0),
    );
    expectClose(product, damped, 1e-6);
  });

  test('damping grows until a singular matrix can be factored', async () => {
    const gram = await syntheticGram(gemm, 96, 5, { rank: 4, floor: 0 });
    const result = await factor(gram, 0, 32);
    expect(result.damping).toBeGreaterThan(0);
    expect(result.damping).toBeLessThan(0.1);
    expect(unpack(result).every(Number.isFinite)).toBe(true);
  });

  test.each([1e-38, 1e-41, 1e30, 1e36])('does not depend on the unit of the inputs (× %f)', async (unit) => {
    const gram = await syntheticGram(gemm, 48, 6, { outliers: 0 });
    const scaled = { ...gram, data: gram.data.map((value) => value * unit) };
    const expected = unpack(await factor(gram, 0.01, 16));
    // Subnormal numbers have few digits left.
    expectClose(unpack(await factor(scaled, 0.01, 16)), expected, unit < 1e-40 ? 0.05 : 1e-5);
  });

  test('inputs that never fire keep a factor', async () => {
    const data = new Float32Array(64 * 64);
    expect((await factor({ rows: 64, cols: 64, data }, 0.01, 32)).scale).toBe(1);
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %f', async (value) => {
    for (const at of [0, 5, 64 * 63]) {
      const gram = await syntheticGram(gemm, 64, 8);
      gram.data[at] = value;
      await expect(factor(gram, 0.01, 32)).rejects.toThrow('NaN or infinity');
    }
  });

  test('refuses an indefinite matrix', async () => {
    const data = new Float32Array(16 * 16);
    for (let i = 0; i < 16; i++) data[i * 17] = 1;
    data[1] = data[16] = 500;
    await expect(factor({ rows: 16, cols: 16, data }, 0.01, 16)).rejects.toThrow('positive semi-definite');
  });

  test('has the same bits with one and three threads', async () => {
    const gram = await syntheticGram(gemm, 200, 9);
    const two = await factor(gram, 0.01, 64);
    for (const threads of [1, 3]) {
      const own = await createKernels({ threads });
      const order = (length: number) => own.scope((arena) => arena.i32(length).map((_, i) => length - 1 - i));
      await own.scope(async (arena) => {
        const positions = arena.i32(200);
        positions.set(await order(200));
        const other = await factorDamped({ kernels: own, gemm }, gram, positions, 0.01, 64);
        expect(other.columns).toEqual(two.columns);
      });
      own.close();
    }
  });

  test('a ridge adds a share of each entry of the diagonal', async () => {
    const gram = await syntheticGram(gemm, 40, 10);
    const raised = gram.data.map((value, at) => (at % 41 === 0 ? 1.5 * value : value));
    const ridged = await kernels.scope((arena) => {
      const order = arena.i32(40);
      for (let i = 0; i < 40; i++) order[i] = i;
      return factorDamped({ kernels, gemm }, gram, order, 0.01, 16, 0.5);
    });
    const dense = Float64Array.from(raised, (value, at) => value / ridged.scale + (at % 41 === 0 ? 0.01 : 0));
    expectClose(unpack(ridged), choleskyReference(dense, 40), 2e-6);
  });

  // Widths that eight does not divide, alone and behind whole blocks.
  test.each([
    [5, 16],
    [64, 16],
    [131, 32],
  ])('solves rows of %i columns in blocks of %i', async (size, blockSize) => {
    const gram = await syntheticGram(gemm, size, 11);
    const result = await factor(gram, 0.01, blockSize);
    const [lower, count] = [unpack(result), 19];
    const blocks = result.columns.map((_, b) =>
      normals(count * Math.min(blockSize, size - b * blockSize), 12 + b),
    );
    const dense = (of: readonly Float32Array[]) =>
      Float64Array.from({ length: count * size }, (_, at) => {
        const [row, b] = [Math.floor(at / size), Math.floor((at % size) / blockSize)];
        const width = Math.min(blockSize, size - b * blockSize);
        return of[b]?.[row * width + ((at % size) - b * blockSize)] ?? Number.NaN;
      });
    const expected = dense(blocks);
    await solveRows({ kernels, gemm }, result, blocks);
    const solved = dense(blocks);
    const product = Float64Array.from({ length: count * size }, (_, at) => {
      const [row, column] = [Math.floor(at / size), at % size];
      let sum = 0;
      for (let k = 0; k <= column; k++)
        sum += (solved[row * size + k] ?? Number.NaN) * (lower[column * size + k] ?? Number.NaN);
      return sum;
    });
    expectClose(product, expected, 1e-5);
  });

  test('damping is in units of the mean of the diagonal', () => {
    expect(meanDiagonal({ rows: 2, cols: 2, data: new Float32Array([1, 9, 9, 3]) })).toBe(2);
  });
});
