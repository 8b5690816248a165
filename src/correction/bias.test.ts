import { afterAll, expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import { shrinkMoments } from '../calibration/shrinkage.js';
import { createBiasCorrection } from './bias.js';

const correction = createBiasCorrection({ threads: 1 });
afterAll(() => correction.release());

const [rows, cols, tokens] = [5, 7, 40];
const weight = normals(rows * cols, 1);
const decoded = weight.map((value) => Math.round(value * 2) / 2);
const bias = normals(rows, 2);
/** Inputs with means far from zero, and what the layer gets of them behind compressed ones. */
const inputs = normals(tokens * cols, 3).map((value, at) => value + (at % cols));
const shifted = inputs.map((value, at) => 1.1 * value + 0.3 * Math.sin(at) + 0.2);

const meanOf = (x: Float32Array) =>
  Float32Array.from({ length: cols }, (_, col) => {
    let sum = 0;
    for (let t = 0; t < tokens; t++) sum += x[t * cols + col] ?? 0;
    return sum / tokens;
  });
const moment = (x: Float32Array, y: Float32Array) => {
  const data = new Float32Array(cols * cols);
  for (let t = 0; t < tokens; t++)
    for (let i = 0; i < cols; i++)
      for (let j = 0; j < cols; j++)
        data[i * cols + j] =
          (data[i * cols + j] ?? 0) + ((x[t * cols + i] ?? 0) * (y[t * cols + j] ?? 0)) / tokens;
  return { rows: cols, cols, data };
};
const means = { original: meanOf(inputs), own: meanOf(shifted) };

test('the shift of the means of outputs becomes zero', async () => {
  const meanOutput = (w: Float32Array, x: Float32Array, b: Float32Array) =>
    Array.from({ length: rows }, (_, row) => {
      let sum = b[row] ?? 0;
      for (let t = 0; t < tokens; t++)
        for (let col = 0; col < cols; col++)
          sum += ((w[row * cols + col] ?? 0) * (x[t * cols + col] ?? 0)) / tokens;
      return sum;
    });
  const shift = (b: Float32Array) => {
    const [before, after] = [meanOutput(weight, inputs, bias), meanOutput(decoded, shifted, b)];
    return Math.max(...before.map((value, row) => Math.abs(value - (after[row] ?? Number.NaN))));
  };
  expect(shift(bias)).toBeGreaterThan(0.5);
  const corrected = await correction.bias({ rows, cols, data: weight }, decoded, bias, means);
  expect(shift(corrected)).toBeLessThan(1e-4);
});

test('shrunk moments about the means are moments about the means, shrunk', async () => {
  const moments = () => ({
    gram: moment(shifted, shifted),
    crossMoments: moment(inputs, shifted),
    means,
    tokens,
  });
  const before = await correction.centred(shrinkMoments(moments(), 0.4));
  const after = shrinkMoments(await correction.centred(moments()), 0.4);
  for (const key of ['gram', 'crossMoments'] as const) {
    const differences = after[key]?.data.map((value, at) => value - (before[key]?.data[at] ?? Number.NaN));
    expect(Math.max(...(differences ?? [Number.NaN]).map(Math.abs))).toBeLessThan(1e-4);
  }
});

test('tokens to judge by lose the same means', async () => {
  const tall = (data: Float32Array) => ({ rows: tokens, cols, data });
  const heldOut = { own: tall(shifted), original: tall(inputs) };
  const centred = await correction.centred({ gram: moment(shifted, shifted), means, tokens, heldOut });
  for (const [actual, data, mean] of [
    [centred.heldOut?.own, shifted, means.own],
    [centred.heldOut?.original, inputs, means.original],
  ] as const)
    expect(actual?.data).toEqual(data.map((value, at) => value - (mean[at % cols] ?? 0)));
});

test('moments about the means are those of inputs without their means', async () => {
  const crossMoments = moment(
    inputs.map((value, at) => value - (shifted[at] ?? 0)),
    shifted,
  );
  const centred = await correction.centred({ gram: moment(shifted, shifted), crossMoments, means, tokens });
  const without = (x: Float32Array, mean: Float32Array) =>
    x.map((value, at) => value - (mean[at % cols] ?? 0));
  const [x, y] = [without(inputs, means.original), without(shifted, means.own)];
  for (const [actual, expected] of [
    [centred.gram, moment(y, y)],
    [
      centred.crossMoments,
      moment(
        x.map((value, at) => value - (y[at] ?? 0)),
        y,
      ),
    ],
  ] as const) {
    const worst = Math.max(...expected.data.map((value, at) => Math.abs(value - (actual?.data[at] ?? NaN))));
    expect(worst).toBeLessThan(1e-4);
  }
});
