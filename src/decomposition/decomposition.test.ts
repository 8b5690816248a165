import { describe, expect, test } from 'vitest';
import { gemm, kernels, randomLayer } from '../../test/fixtures/solver-context.js';
import { normals } from '../../test/reference/random.js';
import { columnSteps } from '../grid/tersor/refinement.js';
import { columnEnergies } from '../solver/column-energies.js';
import { quantEase } from '../solver/quantease.js';
import type { Matrix } from '../types.js';
import { type BitStackOptions, bitStack, bitStackBits } from './bitstack.js';
import { columnFactors } from './columns.js';
import { refine } from './refine.js';

const [rows, cols] = [96, 64];

/** tr(Δ H Δᵀ) / tr(W H Wᵀ) in plain double precision. */
function error(weight: Float32Array, values: Float32Array, gram: Float32Array): number {
  const energy = (x: (row: number, col: number) => number) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < cols; i++) {
        for (let j = 0; j < cols; j++) sum += x(row, i) * (gram[i * cols + j] ?? 0) * x(row, j);
      }
    }
    return sum;
  };
  const at = (row: number, col: number) => weight[row * cols + col] ?? 0;
  return energy((row, col) => at(row, col) - (values[row * cols + col] ?? 0)) / energy(at);
}

describe('BitStack', () => {
  const data = normals(rows * cols, 5);
  const flat = new Float32Array(cols).fill(1);
  const identity = Float32Array.from({ length: cols * cols }, (_, i) => Number(i % (cols + 1) === 0));
  const errors = async (scales: Float32Array, gram: Float32Array, options: Partial<BitStackOptions>) => {
    const found: number[] = [];
    await bitStack(
      gemm,
      { rows, cols, data },
      scales,
      async (values) => {
        found.push(error(data, values, gram));
      },
      options,
    );
    return found;
  };

  test('loses less with every block, and with every rank', async () => {
    const [low, high] = [
      await errors(flat, identity, { rank: 1, blocks: 5 }),
      await errors(flat, identity, { rank: 8, blocks: 5 }),
    ];
    for (const found of [low, high]) expect(found).toEqual(found.toSorted((a, b) => b - a));
    // Signs and one size for all leave 1 − 2/π of a normal variable.
    expect(low[0]).toBeGreaterThan(0.3);
    expect(low[0]).toBeLessThan(1 - 2 / Math.PI + 0.01);
    for (const [block, value] of high.entries()) expect(value).toBeLessThan(low[block] ?? 0);
  });

  test('keeps what its blocks can hold exactly', async () => {
    const [left, right] = [normals(rows, 1).map(Math.abs), normals(cols, 2).map(Math.abs)];
    const signed = data.map(
      (value, at) => Math.sign(value) * (left[Math.floor(at / cols)] ?? 0) * (right[at % cols] ?? 0),
    );
    const scales = normals(cols, 3).map((value) => 0.5 + Math.abs(value));
    await bitStack(
      gemm,
      { rows, cols, data: signed },
      scales,
      async (values) => {
        expect(error(signed, values, identity)).toBeLessThan(1e-9);
      },
      { rank: 1, blocks: 1 },
    );
  });

  test('weighs inputs by their sizes', async () => {
    const sizes = Float32Array.from({ length: cols }, (_, col) => (col < 6 ? 8 : 0.5));
    const gram = identity.map((value, at) => value * (sizes[at % cols] ?? 0) ** 2);
    const [told, not] = [
      await errors(sizes, gram, { rank: 2, blocks: 3 }),
      await errors(flat, gram, { rank: 2, blocks: 3 }),
    ];
    expect(told[2]).toBeLessThan(0.8 * (not[2] ?? 0));
  });
});

/** Relative errors of a layer's refinements, with and without factors of columns, and the bits they take together. */
async function refined(weight: Matrix, gram: Matrix, columns?: Int8Array) {
  const factors = columnSteps(1, cols, columns);
  const scaled = gram.data.map(
    (value, at) => value * (factors[at % cols] ?? 1) * (factors[Math.floor(at / cols)] ?? 1),
  );
  const moments = { gram: { ...gram, data: scaled }, tokens: 1 };
  const levels: { bits: number; error: number }[] = [];
  let bits = 0;
  await refine(
    kernels,
    weight,
    async (arena, rest, grid) =>
      (await quantEase({ kernels, gemm, arena }, rest, moments, grid, { damping: 0.3 })).encoded,
    async ({ slices, values }) => {
      bits += (8 * slices.reduce((sum, { bytes }) => sum + bytes.length, 0)) / (rows * cols);
      levels.push({ bits, error: error(weight.data, values, gram.data) });
    },
    { columns },
  );
  return levels;
}

const factorsOf = (gram: Matrix, height = rows) =>
  kernels.scope(async (arena) => columnFactors(await columnEnergies({ kernels, gemm, arena }, gram), height));

describe('refinements', () => {
  test('leave a ninth or so of the loss each, and less than BitStack’s blocks of as many bits', async () => {
    const { weight, gram } = await randomLayer(rows, cols, 9);
    const scales = Float32Array.from({ length: cols }, (_, i) => Math.sqrt(gram.data[i * (cols + 1)] ?? 1));
    const blocks: { bits: number; error: number }[] = [];
    await bitStack(
      gemm,
      weight,
      scales,
      async (values, block) => {
        const bits = (block + 1) * bitStackBits(rows, cols, 2);
        blocks.push({ bits, error: error(weight.data, values, gram.data) });
      },
      { rank: 2, blocks: 5 },
    );
    const levels = await refined(weight, gram, await factorsOf(gram));
    for (const [index, level] of levels.entries()) {
      const share = level.error / (levels[index - 1]?.error ?? Number.NaN);
      if (index > 0) expect(share).toBeGreaterThan(0.08);
      if (index > 0) expect(share).toBeLessThan(0.16);
      const same = blocks.findLast(({ bits }) => bits <= level.bits + 0.2);
      if (same) expect(level.error, `${level.bits} bits`).toBeLessThan(0.9 * same.error);
    }
    expect(levels.at(-1)?.bits).toBeLessThan(8.5);
  });

  test('have finer steps where inputs are large, if that is worth its bytes', async () => {
    const { weight, gram } = await randomLayer(rows, cols, 10, { outliers: 0.1 });
    const columns = await factorsOf(gram);
    const [told] = await refined(weight, gram, columns);
    const [not] = await refined(weight, gram);
    expect(told?.bits).toBeLessThan((not?.bits ?? 0) + 0.1);
    expect(told?.error).toBeLessThan(0.5 * (not?.error ?? 0));

    const even = await randomLayer(rows, cols, 11, { outliers: 0, decay: 0 });
    expect(await factorsOf(even.gram)).toBeUndefined();
  });
});
