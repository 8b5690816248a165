import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { close, errorOf, type Outcome, solve } from '../../test/fixtures/solved.js';
import { randomLayer } from '../../test/fixtures/solver-context.js';
import { findGrid } from '../grid/index.js';
import { createKernels } from '../kernels/kernels.js';
import { createGemm } from '../runtime/gemm.js';

/** Tells any two outcomes apart, without a listing of all their numbers. */
const digest = ({ values, codes, scale, offset }: Outcome): string =>
  [values, codes ?? values, scale, offset]
    .map((array) => createHash('sha256').update(array).digest('hex'))
    .join();

describe('gptq', () => {
  test.each(['q4_0', 'q2_0', 'iq4_nl', 'q4_1', 'mxfp4', 'q8_0'])(
    'loses less than rounding on %s',
    async (name) => {
      for (const seed of [1, 2, 3]) {
        const problem = await randomLayer(32, 256, seed, { rank: 128 });
        const plain = (await solve('rtn', problem, findGrid(name))).relativeError;
        for (const groups of ['static', 'dynamic']) {
          const { relativeError } = await solve('gptq', problem, findGrid(name), { groups });
          expect(relativeError, `seed ${seed}`).toBeLessThan(0.8 * plain);
        }
      }
    },
  );

  test('float types come out with feedback, finite and without codes', async () => {
    const problem = await randomLayer(6, 96, 31);
    problem.weight.data[5] = 1e6;
    for (const name of ['f32', 'f16', 'bf16']) {
      const { values, codes, relativeError } = await solve('gptq', problem, findGrid(name));
      expect(codes).toBeUndefined();
      expect(values.every(Number.isFinite)).toBe(true);
      if (name === 'f16') expect(values[5]).toBe(65504);
      else expect(relativeError).toBeLessThan(1e-5);
    }
  });

  test.each([
    [1, 32],
    [3, 160],
    [17, 288],
    [130, 96],
    [40, 608],
  ])('does not depend on block size or threads for %i × %i', async (rows, cols) => {
    const problem = await randomLayer(rows, cols, 41, { rank: 64 });
    for (const options of [{ groups: 'static' }, { groups: 'dynamic' }, { order: 'natural' }]) {
      const first = await solve('gptq', problem, findGrid('iq4_nl'), options);
      for (const blockSize of [8, 32, 72, 512]) {
        const other = await solve('gptq', problem, findGrid('iq4_nl'), { ...options, blockSize });
        close(other.relativeError, first.relativeError, 1e-3);
      }
      for (const threads of [1, 3]) {
        const [own, product] = [await createKernels({ threads }), createGemm({ threads })];
        const other = await solve('gptq', problem, findGrid('iq4_nl'), options, own, product);
        expect(digest(other)).toBe(digest(first));
        own.close();
        await product.release();
      }
    }
  });

  test('inputs that never fire cost nothing and keep their rounded weights', async () => {
    const problem = await randomLayer(8, 128, 51);
    const dead = [0, 5, 64, 127];
    for (const column of dead) {
      for (let other = 0; other < 128; other++)
        problem.gram.data[column * 128 + other] = problem.gram.data[other * 128 + column] = 0;
    }
    const outcome = await solve('gptq', problem, findGrid('q8_0'));
    close(outcome.relativeError, errorOf(problem, Float64Array.from(outcome.values)), 1e-3);
    for (const column of dead) {
      for (let row = 0; row < 8; row++) {
        const at = row * 128 + column;
        const scale = outcome.scale[Math.floor(column / 32) * outcome.stride + row] ?? Number.NaN;
        const weight = problem.weight.data[at] ?? Number.NaN;
        const nearest = Math.min(127, Math.max(-128, Math.round(weight / scale))) * scale;
        expect(outcome.values[at]).toBeCloseTo(nearest, 5);
      }
    }
  });

  test('a second moment of zero, or none, rounds to nearest', async () => {
    const problem = await randomLayer(8, 64, 61);
    const silent = { ...problem, gram: { ...problem.gram, data: new Float32Array(64 * 64) } };
    const [ours, plain] = [
      await solve('gptq', silent, findGrid('q4_0')),
      await solve('rtn', silent, findGrid('q4_0')),
    ];
    expect(ours.relativeError).toBe(0);
    expect(ours.codes).toEqual(plain.codes);
  });

  test.each([1e-33, 1e-20, 1e20, 1e35])('does not depend on the unit of the inputs (× %f)', async (unit) => {
    const problem = await randomLayer(8, 96, 71, { outliers: 0 });
    const scaled = {
      ...problem,
      gram: { ...problem.gram, data: problem.gram.data.map((value) => value * unit) },
    };
    const [one, other] = [
      await solve('gptq', problem, findGrid('q4_0')),
      await solve('gptq', scaled, findGrid('q4_0')),
    ];
    close(other.relativeError, one.relativeError, 1e-3);
  });

  test.each([
    ['rank one', { rank: 1, floor: 0, outliers: 0 }],
    ['rank deficient', { rank: 20, floor: 0 }],
    ['steep', { rank: 128, decay: 4, floor: 1e-7, outliers: 0.05 }],
  ])('stays finite and honest on a second moment that is %s', async (_, shape) => {
    const problem = await randomLayer(8, 128, 81, shape);
    for (const damping of [0, 1e-4, 0.01, 1]) {
      const outcome = await solve('gptq', problem, findGrid('q4_0'), { damping });
      expect(outcome.values.every(Number.isFinite)).toBe(true);
      close(outcome.relativeError, errorOf(problem, Float64Array.from(outcome.values)), 0.01);
    }
  });

  test('weights of zero and scales of zero are solved', async () => {
    const problem = await randomLayer(5, 64, 91);
    problem.weight.data.fill(0, 0, 3 * 64);
    const { values, relativeError } = await solve('gptq', problem, findGrid('q4_0'));
    expect(values.subarray(0, 3 * 64).every((value) => value === 0)).toBe(true);
    expect(relativeError).toBeGreaterThan(0);
    problem.weight.data.fill(0);
    expect((await solve('gptq', problem, findGrid('q4_0'))).relativeError).toBe(0);
  });

  test('refuses a second moment with NaN', async () => {
    const problem = await randomLayer(4, 64, 95);
    problem.gram.data[100] = Number.NaN;
    for (const solver of ['gptq', 'rtn'])
      await expect(solve(solver, problem, findGrid('q4_0'))).rejects.toThrow('NaN or infinity');
  });
});
