import { describe, expect, test } from 'vitest';
import { gemm, kernels, randomLayer } from '../../test/fixtures/solver-context.js';
import { talesLayers } from '../../test/fixtures/tales.js';
import { syntheticGram } from '../../test/reference/gram.js';
import { findGrid } from '../grid/index.js';
import { nestedPart, nestedPrefix, precisions } from '../grid/tersor/nested.js';
import type { NestedBits } from '../grid/tersor/nested-levels.js';
import { createKernels } from '../kernels/kernels.js';
import { fromPanel, toPanel } from '../kernels/panel.js';
import type { Matrix } from '../types.js';
import { findSolver } from './index.js';
import { layerError } from './layer-error.js';
import { balance } from './nested.js';

interface Outcome {
  readonly bytes: Uint8Array;
  readonly relativeError: number;
  /** Of every precision, read from the bytes. */
  readonly errors: ReadonlyMap<NestedBits, number>;
}

async function solve(
  solver: string,
  weight: Matrix,
  gram: Matrix | undefined,
  bits: NestedBits = 8,
  own = kernels,
): Promise<Outcome> {
  return own.scope(async (arena) => {
    const context = { kernels: own, arena, gemm };
    const panel = await toPanel(own, arena, weight);
    const grid = findGrid(`nested${bits}`);
    const moments = gram && { gram, tokens: 1 };
    const { encoded } = await findSolver(solver).solve(context, panel, moments, grid);
    const bytes = await grid.pack(own, encoded);
    const errors = new Map<NestedBits, number>();
    for (const each of precisions(bits)) {
      const part = nestedPrefix(bytes, weight.rows, weight.cols, each);
      const { values } = await findGrid(`nested${each}`).unpack(own, arena, part, weight.rows, weight.cols);
      errors.set(each, await layerError(context, gram, panel, values));
      const inside = await nestedPart(own, arena, encoded, each);
      const rows = async (data: Float32Array) =>
        Buffer.from((await fromPanel(own, { ...panel, data })).data.buffer);
      expect((await rows(inside.values)).equals(await rows(values)), `${each} bits`).toBe(true);
    }
    const relativeError = await layerError(context, gram, panel, encoded.values);
    return { bytes, relativeError, errors };
  });
}

async function direct(weight: Matrix, gram: Matrix, bits: NestedBits): Promise<number> {
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, weight);
    const context = { kernels, arena, gemm };
    const grid = findGrid(`int${bits}-channel`);
    const { encoded } = await findSolver('rtn').solve(context, panel, { gram, tokens: 1 }, grid);
    return layerError(context, gram, panel, encoded.values);
  });
}

describe('the solver nested', () => {
  test('loses no more at any precision than integers rounded by themselves, under full moments', async () => {
    for (const seed of [3, 4])
      for (const { name, ...weight } of (await talesLayers()).slice(0, 1)) {
        const gram = await syntheticGram(gemm, weight.cols, seed, { rank: 64, outliers: 0.02 });
        const [ours, plain] = [await solve('nested', weight, gram), await solve('rtn', weight, gram)];
        expect(ours.relativeError).toBeCloseTo(ours.errors.get(8) ?? Number.NaN, 6);
        for (const [bits, error] of ours.errors) {
          const alone = await direct(weight, gram, bits);
          expect(error / alone, `${name}, ${bits} bits, seed ${seed}`).toBeLessThan(1.05);
        }
        const worst = (outcome: Outcome) => Math.max(...outcome.errors.values());
        expect(worst(ours)).toBeLessThan(worst(plain));
      }
  });

  test('improves the precisions that a tensor contains, whichever it is', async () => {
    const { weight, gram } = await randomLayer(24, 96, 5, { rank: 40, outliers: 0.03 });
    for (const bits of [2, 4, 6] as const) {
      const [ours, plain] = [
        await solve('nested', weight, gram, bits),
        await solve('rtn', weight, gram, bits),
      ];
      for (const [each, error] of ours.errors)
        expect(error, `nested${bits} at ${each}`).toBeLessThan(plain.errors.get(each) ?? Number.NaN);
    }
  });

  test('is the same with any number of threads', async () => {
    const { weight, gram } = await randomLayer(70, 64, 7);
    const alone = await createKernels();
    const other = await solve('nested', weight, gram, 8, alone);
    expect(Buffer.from(other.bytes).equals((await solve('nested', weight, gram)).bytes)).toBe(true);
    alone.close();
  });

  test('rounds where nothing is known of the inputs, and takes silent ones', async () => {
    const { weight, gram } = await randomLayer(8, 64, 9);
    expect((await solve('nested', weight, undefined)).bytes).toEqual(
      (await solve('rtn', weight, undefined)).bytes,
    );
    const silent = { ...gram, data: new Float32Array(gram.data.length) };
    expect((await solve('nested', weight, silent)).relativeError).toBe(0);
  });

  test('refuses other grids', async () => {
    const { weight, gram } = await randomLayer(4, 32, 11);
    await kernels.scope(async (arena) => {
      const panel = await toPanel(kernels, arena, weight);
      const solved = findSolver('nested').solve(
        { kernels, arena, gemm },
        panel,
        { gram, tokens: 1 },
        findGrid('int4'),
      );
      await expect(solved).rejects.toThrow('type int4 has none');
    });
  });
});

test('rows are chosen so that the worst precision is good', () => {
  const trial = (...losses: readonly (readonly number[])[]) => ({
    cells: new Float32Array(2),
    outcomes: losses.map((each, b) => ({
      bits: b ? (4 as const) : (2 as const),
      losses: Float64Array.from(each),
      scale: new Float32Array(2),
      offset: new Float32Array(2),
    })),
  });
  // The first trial is best for two bits, the second for four; taking one row of each is best for both.
  const trials = [trial([1, 1], [9, 3]), trial([3, 9], [1, 1])];
  expect([...balance(trials, [1, 1], 2)]).toEqual([1, 0]);
});
