import { describe, expect, test } from 'vitest';
import * as g from './build.js';
import { compile } from './program.js';
import type { Value } from './value.js';

const array = (...values: number[]) => Float32Array.from(values);
const run = async (value: Value, inputs: Record<string, Float32Array | BigInt64Array> = {}) => {
  const program = await compile({ y: value });
  const { y } = await program.run(inputs);
  await program.release();
  return Array.from(y ?? [], Number);
};

const int64 = (...numbers: number[]) => BigInt64Array.from(numbers, BigInt);
const close = (expected: number[]) => (actual: number[]) =>
  actual.length === expected.length && actual.every((v, i) => Math.abs(v - (expected[i] ?? 0)) < 1e-5);

describe('ops against their definitions', () => {
  const x = g.input('x', [2, 3]);
  const values = array(1, 2, 3, -1, 0, 4);

  test('elementwise with broadcasting', async () => {
    expect(await run(g.sub(g.mul(x, g.scalar(2)), g.constant(array(1, 1, 2))), { x: values })).toEqual([
      1, 3, 4, -3, -1, 6,
    ]);
    expect(await run(g.silu(x), { x: values })).toSatisfy(
      close([...values].map((v) => v / (1 + Math.exp(-v)))),
    );
  });

  test('linear multiplies by the transposed weight and adds the bias', async () => {
    const w = g.constant(array(1, 0, 1, 0, 2, 0), [2, 3]);
    expect(await run(g.linear(x, w, g.constant(array(10, 20))), { x: values })).toEqual([14, 24, 13, 20]);
  });

  test('moment accumulates xᵀ y', async () => {
    const previous = g.input('previous', [3, 3]);
    const result = await run(g.moment(x, x, previous), { x: values, previous: new Float32Array(9).fill(1) });
    expect(result).toEqual([3, 3, 0, 3, 5, 7, 0, 7, 26]);
  });

  test('norms', async () => {
    const rms = (row: number[]) => Math.sqrt(row.reduce((s, v) => s + v * v, 0) / row.length + 1e-5);
    const expected = [1, 2, 3]
      .map((v) => v / rms([1, 2, 3]))
      .concat([-1, 0, 4].map((v) => v / rms([-1, 0, 4])));
    expect(await run(g.rmsNorm(x, g.constant(array(1, 1, 1)), 1e-5), { x: values })).toSatisfy(
      close(expected),
    );
  });

  test('shape ops and reductions', async () => {
    expect(await run(g.transpose(x, [1, 0]), { x: values })).toEqual([1, -1, 2, 0, 3, 4]);
    expect(await run(g.concat([g.slice(x, 1, 2, 3), g.slice(x, 1, 0, 1)], 1), { x: values })).toEqual([
      3, 1, 4, -1,
    ]);
    expect(await run(g.sum(x, -1), { x: values })).toEqual([6, 3]);
    expect(await run(g.argmax(x), { x: values })).toEqual([2, 2]);
    expect(
      await run(g.toFloat(g.equal(g.argmax(x), g.input('k', [2, 1], 'i64'))), { x: values, k: int64(2, 1) }),
    ).toEqual([1, 0]);
    expect(
      await run(g.pick(g.logSoftmax(x), g.input('k', [2, 1], 'i64')), { x: values, k: int64(0, 2) }),
    ).toSatisfy(
      close([
        Math.log(Math.exp(1) / (Math.exp(1) + Math.exp(2) + Math.exp(3))),
        Math.log(Math.exp(4) / (Math.exp(4) + 1 + Math.exp(-1))),
      ]),
    );
  });

  test('wrong shapes are named', () => {
    expect(() => g.matmul(x, x)).toThrow('matmul does not apply to shapes [2,3] and [2,3]');
  });
});
