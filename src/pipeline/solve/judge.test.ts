import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gemm, kernels } from '../../../test/fixtures/solver-context.js';
import { withRun } from '../../../test/fixtures/solving-run.js';
import { normals } from '../../../test/reference/random.js';
import { findGrid } from '../../grid/index.js';
import { toPanel } from '../../kernels/panel.js';
import { rtn } from '../../solver/rtn.js';
import type { Matrix, Moments } from '../../types.js';
import { createJudge } from './judge.js';
import { openJournal } from './resume.js';
import { compressTensor } from './tensor.js';
import { storeTensor } from './tensor-step.js';

const matrix = (rows: number, cols: number, seed: number): Matrix => ({
  rows,
  cols,
  data: normals(rows * cols, seed),
});
const outputs = (x: Matrix, w: Matrix, token: number, row: number) => {
  let sum = 0;
  for (let i = 0; i < x.cols; i++)
    sum += (x.data[token * x.cols + i] ?? Number.NaN) * (w.data[row * x.cols + i] ?? Number.NaN);
  return sum;
};

// Of many rows, outputs on every other token are enough.
test.each([
  [6, 1],
  [1 << 14, 2],
])(
  'a solution of %i rows is judged by its outputs on one in %i of the tokens that are held out',
  async (rows, step) => {
    const [cols, seed] = [32, 1];
    const [target, original] = [matrix(rows, cols, seed), matrix(rows, cols, seed + 1)];
    const heldOut = { own: matrix(300, cols, seed + 2), original: matrix(300, cols, seed + 3) };
    await kernels.scope(async (arena) => {
      const { encoded } = await rtn(
        { kernels, gemm, arena },
        await toPanel(kernels, arena, target),
        undefined,
        findGrid('int4'),
      );
      const { values, stride } = encoded;
      const rounded = {
        rows,
        cols,
        data: Float32Array.from(
          { length: rows * cols },
          (_, at) => values[(at % cols) * stride + Math.floor(at / cols)] ?? Number.NaN,
        ),
      };
      let [loss, own, error, energy] = [0, 0, 0, 0];
      for (let token = 0; token < 300; token += step)
        for (let row = 0; row < rows; row++) {
          const output = outputs(heldOut.own, rounded, token, row);
          const aimed = outputs(heldOut.own, target, token, row);
          loss += (outputs(heldOut.original, original, token, row) - output) ** 2;
          own += (outputs(heldOut.own, original, token, row) - output) ** 2;
          error += (aimed - output) ** 2;
          energy += aimed ** 2;
        }
      const relativeError = error / energy;
      for (const [expected, judge] of [
        [loss, await createJudge(gemm, heldOut, target, original)],
        [own, await createJudge(gemm, { own: heldOut.own }, target, original)],
        [error, await createJudge(gemm, heldOut, target)],
      ] as const) {
        const judged = await judge(encoded);
        const all = judged.losses.reduce((sum, each) => sum + each, 0);
        expect(all / expected, `seed ${seed}`).toBeCloseTo(1, 4);
        expect(judged.relativeError / relativeError).toBeCloseTo(1, 4);
      }
    });
  },
);

describe('what the solver finds', () => {
  /** Moments of so few tokens that they say nothing of others. */
  const momentsOf = async (tokens: number): Promise<Moments> => {
    const x = { data: normals(tokens * 64, 3), shape: [tokens, 64] };
    const data = await gemm(x, x, { transposeA: true, alpha: 1 / tokens });
    return { gram: { rows: 64, cols: 64, data }, tokens, heldOut: { own: matrix(500, 64, 4) } };
  };

  test('is taken where it does better than rounding on other tokens, and only there', async () => {
    await withRun({}, async ({ run, written, kept, spec }) => {
      const layer = spec('attn_k.weight');
      const assignment = run.assignment(layer);
      const [few, many] = [await momentsOf(4), await momentsOf(4)];
      const weight = await run.job.model.read(layer);
      const compressBy = (solver: string, { heldOut, ...moments }: Moments, judged = true) =>
        compressTensor(
          run.context,
          assignment,
          weight,
          judged && heldOut ? { ...moments, heldOut } : moments,
          {
            solver,
          },
        );
      const rounded = await compressBy('rtn', few);
      expect(rounded.rounded).toBeUndefined();
      const unjudged = await compressBy('gptq', few, false);
      expect(unjudged.bytes).not.toEqual(rounded.bytes);
      expect(await compressBy('gptq', few)).toEqual({ ...rounded, rounded: true });

      // Tokens like those of the moments: the solver's gain is real.
      const alike = { ...many, heldOut: { own: { rows: 4, cols: 64, data: normals(4 * 64, 3) } } };
      const solved = await compressBy('gptq', alike);
      expect(solved.bytes).toEqual(unjudged.bytes);
      expect(solved.rounded).toBeUndefined();
      expect(solved.relativeError / unjudged.relativeError).toBeCloseTo(1, 3);

      await storeTensor(run, layer, { moments: few });
      expect(written.get(assignment.name)).toEqual(run.job.format.arrange(rounded.bytes, layer));
      expect(run.results).toMatchObject([{ relativeError: rounded.relativeError, rounded: true }]);
      expect(kept.get(assignment)?.rounded).toBe(true);

      // A run that goes on knows it, too.
      const store = mkdtempSync(join(tmpdir(), 'tersor-judge-'));
      const journal = await openJournal(run.job, { store }, {});
      for (const packed of [solved, { ...rounded, rounded: true as const }]) {
        await journal.put(assignment, packed);
        expect(await journal.find(assignment)).toEqual(packed);
      }
      rmSync(store, { recursive: true });
    });
  });

  test('of many rows is judged by some of them, with the same verdict', async () => {
    await withRun({}, async ({ run, spec }) => {
      const large = { spec: { ...spec('attn_k.weight'), shape: [512, 64] }, grid: findGrid('q4_0') };
      const weight = normals(512 * 64, 5);
      const by = (solver: string, moments: Moments) =>
        compressTensor(run.context, large, weight, moments, { solver });
      const few = await momentsOf(4);
      expect(await by('gptq', few)).toEqual({ ...(await by('rtn', few)), rounded: true });
      const alike = { ...few, heldOut: { own: { rows: 4, cols: 64, data: normals(4 * 64, 3) } } };
      const { heldOut: _, ...unjudged } = alike;
      expect((await by('gptq', alike)).bytes).toEqual((await by('gptq', unjudged)).bytes);
    });
  });
});
