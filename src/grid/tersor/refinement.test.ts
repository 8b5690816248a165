import { expect, test } from 'vitest';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { normals } from '../../../test/reference/random.js';
import { toPanel } from '../../kernels/panel.js';
import { roundPanel } from '../round.js';
import { addRefinement, columnCodes, columnSteps, encodeRefinement, refinementGrid } from './refinement.js';

const [rows, cols] = [70, 96];

/** Weights rounded to multiples of a step, and the bytes of some of their rows. */
function code(data: Float32Array, step: number, from = 0, to = rows) {
  return kernels.scope(async (arena) => {
    const weight = await toPanel(kernels, arena, { rows, cols, data });
    const grid = refinementGrid(step);
    const parameters = grid.allocate(arena, rows, cols);
    const [codes, values] = [arena.u8(cols * weight.stride), arena.f32(cols * weight.stride)];
    await roundPanel(kernels, weight, grid, parameters, { codes, values });
    return encodeRefinement(kernels, { codes, stride: weight.stride, cols }, from, to);
  });
}

/** Bits per symbol that no code without context can go below. */
function entropy(symbols: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const symbol of symbols) counts.set(symbol, (counts.get(symbol) ?? 0) + 1);
  return [...counts.values()].reduce(
    (sum, count) => sum - (count / symbols.length) * Math.log2(count / symbols.length),
    0,
  );
}

test('decoding gives the nearest multiples back, and adds them', async () => {
  for (const step of [3, 0.7, 0.02]) {
    const data = normals(rows * cols, 5);
    const values = new Float32Array(rows * cols).fill(1);
    expect(
      await addRefinement(kernels, await code(data, step), columnSteps(step, cols, undefined), values),
    ).toBe(true);
    const limit = 127 * step;
    const expected = data.map(
      (value) => 1 + step * Math.round(Math.min(limit, Math.max(-limit, value)) / step),
    );
    const worst = values.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - (expected[at] ?? 0))),
      0,
    );
    expect(worst).toBeLessThan(1e-5);
  }
});

test('rows can be decoded apart from each other', async () => {
  const data = normals(rows * cols, 6);
  const values = new Float32Array(rows * cols);
  await addRefinement(kernels, await code(data, 0.5), columnSteps(0.5, cols, undefined), values);
  const part = new Float32Array(20 * cols);
  await addRefinement(kernels, await code(data, 0.5, 31, 51), columnSteps(0.5, cols, undefined), part);
  expect(part).toEqual(values.slice(31 * cols, 51 * cols));
});

test('takes little more than the entropy, and less where magnitudes keep company', async () => {
  const data = normals(rows * cols, 7);
  const bits = (8 * (await code(data, 1)).length) / data.length;
  const least = entropy([...data].map(Math.round));
  expect(bits / least).toBeGreaterThan(0.98);
  expect(bits / least).toBeLessThan(1.06);

  const largeColumns = data.map((value, at) => value * (at % cols < 8 ? 8 : 0.3));
  const told = (8 * (await code(largeColumns, 1)).length) / data.length;
  expect(told / entropy([...largeColumns].map(Math.round))).toBeLessThan(0.9);
});

test('a stream that was cut or continued is noticed', async () => {
  const bytes = await code(normals(rows * cols, 8), 1);
  const decode = (changed: Uint8Array) =>
    addRefinement(kernels, changed, columnSteps(1, cols, undefined), new Float32Array(rows * cols));
  expect(await decode(bytes.subarray(0, -3))).toBe(false);
  expect(await decode(Uint8Array.of(...bytes, 0, 0))).toBe(false);
});

test('columns have steps of their own, an eighth of an octave apart', async () => {
  const factors = Array.from({ length: cols }, (_, col) => 2 ** ((col - 40) / 8));
  const codes = columnCodes(factors);
  expect([...codes.subarray(38, 43)]).toEqual([-2, -1, 0, 1, 2]);
  const steps = columnSteps(0.5, cols, codes);
  for (const [col, factor] of factors.entries())
    expect(steps[col]).toBeCloseTo(0.5 * factor, 6 - Math.log10(factor));
  const data = normals(rows * cols, 9);
  const scaled = data.map((value, at) => value / (steps[at % cols] ?? 1));
  const values = new Float32Array(rows * cols);
  expect(await addRefinement(kernels, await code(scaled, 1), steps, values)).toBe(true);
  for (const [at, value] of values.entries()) {
    const step = steps[at % cols] ?? 1;
    const whole = Math.min(127, Math.max(-127, Math.round((data[at] ?? 0) / step)));
    if (Math.abs(value - step * whole) > 1e-5 * Math.max(1, Math.abs(value)))
      expect(value).toBe(step * whole);
  }
});
