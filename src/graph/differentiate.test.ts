import { expect, test } from 'vitest';
import { normals } from '../../test/reference/random.js';
import * as g from './build.js';
import { differentiate } from './differentiate.js';
import { elements } from './ops.js';
import { compile } from './program.js';
import type { Value } from './value.js';

/** The gradient of Σ y · upstream beside differences of values a small step away, for every input. */
async function check(y: Value, inputs: readonly Value[]): Promise<void> {
  const arrays: Record<string, Float32Array> = {};
  for (const [index, { name = '', shape }] of inputs.entries()) {
    // Kept off zero, where quotients and roots are steep.
    arrays[name] = normals(elements(shape), index + 1).map((value) => 1 + 0.3 * value);
  }
  const weights = normals(elements(y.shape), 99);
  const upstream = g.constant(weights, y.shape);
  const gradients = differentiate(y, upstream, inputs);
  const program = await compile({
    y,
    ...Object.fromEntries(gradients.map((value, index) => [`gradient ${index}`, value])),
  });
  const loss = async (changed: Record<string, Float32Array>) => {
    const results = await program.run(changed);
    return (results.y ?? weights).reduce((sum, value, i) => sum + value * (weights[i] ?? 0), 0);
  };
  const results = await program.run(arrays);
  for (const [index, { name = '' }] of inputs.entries()) {
    const gradient = results[`gradient ${index}`] ?? new Float32Array();
    const array = arrays[name] ?? new Float32Array();
    expect(gradient).toHaveLength(array.length);
    const scale = Math.max(...gradient.map(Math.abs), 0.1);
    for (let i = 0; i < array.length; i += Math.ceil(array.length / 5)) {
      const step = 1e-2;
      const moved = (by: number) => ({ ...arrays, [name]: array.map((v, at) => (at === i ? v + by : v)) });
      const slope = ((await loss(moved(step))) - (await loss(moved(-step)))) / (2 * step);
      expect(Math.abs((gradient[i] ?? 0) - slope) / scale, `${y.op} of ${name}[${i}]`).toBeLessThan(5e-3);
    }
  }
  await program.release();
}

const x = g.input('x', [3, 4]);
const row = g.input('row', [4]);
const column = g.input('column', [3, 1]);

test.each([
  ['add', g.add(x, row), [x, row]],
  ['sub', g.sub(column, x), [x, column]],
  ['mul', g.mul(x, column), [x, column]],
  ['mul of itself', g.mul(x, x), [x]],
  ['div', g.div(x, row), [x, row]],
  ['exp, log, sqrt', g.sqrt(g.log(g.add(g.exp(x), g.scalar(2)))), [x]],
  ['tanh and neg', g.neg(g.tanh(x)), [x]],
  ['silu', g.silu(x), [x]],
  ['gelu', g.gelu(x), [x]],
  ['geluTanh', g.geluTanh(x), [x]],
  ['softmax', g.softmax(x), [x]],
  ['logSoftmax', g.logSoftmax(x), [x]],
  ['sum', g.mul(x, g.sum(x, 0)), [x]],
  ['reshape and transpose', g.mul(g.transpose(g.reshape(x, [2, 3, 2]), [2, 0, 1]), g.scalar(2)), [x]],
  ['slice', g.slice(x, 1, 1, 3), [x]],
  ['concat', g.concat([g.slice(x, -1, 2, 4), x], 1), [x]],
  ['rmsNorm', g.rmsNorm(x, row, 1e-5), [x, row]],
] as const)('gradients of %s', async (_name, y, inputs) => check(y, inputs));

test('gradients of products', async () => {
  const a = g.input('a', [2, 3, 4]);
  const b = g.input('b', [1, 4, 2]);
  await check(g.matmul(a, b), [a, b]);
  const weight = g.input('weight', [5, 4]);
  const bias = g.input('bias', [5]);
  await check(g.linear(x, weight, bias), [x, weight, bias]);
  const [gain, shift] = [g.input('gain', [4]), g.input('shift', [4])];
  await check(g.layerNorm(x, gain, shift, 1e-5), [x, gain, shift]);
});

test('gradients of rows that are chosen at run time', async () => {
  const scores = g.input('scores', [3, 4]);
  const chosen = g.topIndices(g.constant(Float32Array.of(3, 1, 2, 0, 0, 1, 2, 3, 5, 4, 0, 0), [3, 4]), 2);
  const picked = g.pick(scores, chosen);
  const placed = g.place(g.constant(new Float32Array(12), [3, 4]), chosen, g.softmax(picked));
  await check(placed, [scores]);

  const weight = g.input('weight', [5, 4]);
  const bias = g.input('bias', [5]);
  const share = g.mul(column, g.constant(Float32Array.of(1, 0, 1), [3, 1]));
  const rows = g.rowsWhere(share);
  const own = g.mul(g.silu(g.linear(g.gatherRows(x, rows), weight, bias)), g.gatherRows(share, rows));
  const base = g.input('base', [3, 5]);
  await check(g.addRows(base, rows, own), [x, weight, bias, column, base]);

  const none = g.rowsWhere(g.mul(column, g.constant(new Float32Array(3), [3, 1])));
  const empty = g.addRows(base, none, g.linear(g.gatherRows(x, none), weight, bias));
  const gradients = differentiate(empty, g.constant(new Float32Array(15).fill(1), [3, 5]), [x, weight, bias]);
  const program = await compile({ empty, ...Object.fromEntries(gradients.map((y, at) => [`y${at}`, y])) });
  const values = { x: 12, base: 15, weight: 20, bias: 5, column: 3 };
  const arrays = Object.fromEntries(Object.entries(values).map(([name, size]) => [name, normals(size, 5)]));
  const results = await program.run(arrays);
  expect(results.empty).toEqual(arrays.base);
  for (const [at, size] of [12, 20, 5].entries())
    expect(results[`y${at}`]).toEqual(new Float32Array(size ?? 0));
  await program.release();
});

test('values in the middle of a program have gradients, too', async () => {
  const middle = g.mul(x, row);
  const y = g.exp(middle);
  const [gradient] = differentiate(y, g.constant(new Float32Array(12).fill(1), [3, 4]), [middle]);
  const program = await compile({ y, gradient: gradient ?? y });
  const results = await program.run({ x: normals(12, 3), row: normals(4, 4) });
  expect(results.gradient).toEqual(results.y);
  await program.release();
});

test('what has no rule is said', () => {
  expect(() => differentiate(g.max(x, -1), g.scalar(1), [x])).toThrow('no gradient of max');
  expect(() => differentiate(g.exp(x), x, [row])).toThrow('row does not take part');
});
