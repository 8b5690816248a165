import { describe, expect, test } from 'vitest';
import { gemm, kernels } from '../../test/fixtures/solver-context.js';
import { normal, normals } from '../../test/reference/random.js';
import { gptqReference } from '../../test/reference/solvers.js';
import { createKernels } from '../kernels/kernels.js';
import { createGemm } from '../runtime/gemm.js';
import type { Matrix, Moments } from '../types.js';
import { activationOrder } from './order.js';
import { chooseShrinkage, feedbackLoss, shrinkages } from './shrinkage.js';

const context = { kernels, gemm };

/** Tokens whose covariance has a power-law spectrum, with a few large inputs, as those of transformers have. */
function tokensOf(count: number, width: number, seed: number): Matrix {
  const directions = normals(width * width, 77);
  const next = normal(seed);
  const data = new Float32Array(count * width);
  for (let t = 0; t < count; t++)
    for (let k = 0; k < width; k++) {
      const amount = next() / Math.sqrt(k + 1);
      for (let i = 0; i < width; i++)
        data[t * width + i] =
          (data[t * width + i] ?? 0) + amount * (directions[k * width + i] ?? 0) * (i % 17 === 0 ? 5 : 1);
    }
  return { rows: count, cols: width, data };
}

async function gramOf({ rows, cols, data }: Matrix): Promise<Matrix> {
  const x = { data, shape: [rows, cols] };
  return { rows: cols, cols, data: await gemm(x, x, { transposeA: true, alpha: 1 / rows }) };
}

const momentsOf = async (tokens: number, width: number, seed: number): Promise<Moments> => ({
  gram: await gramOf(tokensOf(tokens, width, seed)),
  tokens,
  heldOut: { own: tokensOf(256, width, seed + 1) },
});

describe('the expected loss of error feedback on other tokens', () => {
  test.each([0, 0.1, 0.7])(
    'is what random rounding errors leave, at a shrinkage of %d',
    async (shrinkage) => {
      const [width, rows, seed] = [20, 20_000, 5];
      const [gram, inputs] = [await gramOf(tokensOf(40, width, seed)), tokensOf(64, width, seed + 1)];
      const shrunk = Float64Array.from(gram.data, (value, at) =>
        at % (width + 1) === 0 ? value : (1 - shrinkage) * value,
      );
      const order = kernels.scope((arena) => activationOrder(arena, gram).slice());
      const next = normal(seed + 2);
      const errors = gptqReference(
        new Float64Array(rows * width),
        rows,
        shrunk,
        [...(await order)].reverse(),
        0.01,
        (t) => t - next(),
      );
      let loss = 0;
      for (let row = 0; row < rows; row++)
        for (let t = 0; t < inputs.rows; t++) {
          let sum = 0;
          for (let i = 0; i < width; i++)
            sum += (errors[row * width + i] ?? Number.NaN) * (inputs.data[t * width + i] ?? 0);
          loss += sum ** 2 / rows / inputs.rows;
        }
      const expected = await feedbackLoss(context, gram, inputs, shrinkage);
      expect(Math.abs(loss / expected - 1), `seed ${seed}`).toBeLessThan(0.03);
    },
  );

  test('is the energy of the inputs where nothing makes up for anything', async () => {
    const [gram, inputs] = [await gramOf(tokensOf(100, 30, 1)), tokensOf(64, 30, 2)];
    for (let i = 0; i < 900; i++) if (i % 31 !== 0) gram.data[i] = 0;
    const energy = inputs.data.reduce((sum, value) => sum + value ** 2, 0) / inputs.rows;
    expect((await feedbackLoss(context, gram, inputs, 0)) / energy).toBeCloseTo(1, 5);
  });

  // More than one block of columns, the last of a width that eight does not divide.
  test('has the same bits with any number of threads', async () => {
    const [gram, inputs] = [await gramOf(tokensOf(200, 300, 3)), tokensOf(50, 300, 4)];
    const expected = await feedbackLoss(context, gram, inputs, 0.1);
    for (const threads of [1, 3]) {
      const own = { kernels: await createKernels({ threads }), gemm: createGemm({ threads }) };
      expect(await feedbackLoss(own, gram, inputs, 0.1)).toBe(expected);
      own.kernels.close();
      await own.gemm.release();
    }
  });
});

describe('the shrinkage that is chosen', () => {
  test('is the best of all, and smaller the more tokens there are', async () => {
    const width = 64;
    const chosen: number[] = [];
    for (const tokens of [24, 48, 128, 512, 4096]) {
      const moments = await momentsOf(tokens, width, 10);
      const losses: number[] = [];
      for (const each of shrinkages)
        losses.push(await feedbackLoss(context, moments.gram, moments.heldOut?.own as Matrix, each));
      const shrinkage = await chooseShrinkage(context, moments);
      expect(losses[shrinkages.indexOf(shrinkage)], `${tokens} tokens`).toBe(Math.min(...losses));
      chosen.push(shrinkage);
    }
    expect(chosen).toEqual(chosen.toSorted((a, b) => b - a));
    expect(chosen[0]).toBeGreaterThanOrEqual(0.3);
    expect(chosen.at(-1)).toBe(0);
  });

  test('is none without tokens to judge by', async () => {
    const { heldOut: _, ...moments } = await momentsOf(16, 8, 1);
    expect(await chooseShrinkage(context, moments)).toBe(0);
  });
});
