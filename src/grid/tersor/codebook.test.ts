import { describe, expect, test } from 'vitest';
import { quantize, total } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { syntheticGram } from '../../../test/reference/gram.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { createKernels } from '../../kernels/kernels.js';
import { toPanel } from '../../kernels/panel.js';
import { createGemm } from '../../runtime/gemm.js';
import { findSolver } from '../../solver/index.js';
import { layerError } from '../../solver/layer-error.js';
import type { Matrix } from '../../types.js';
import { findGrid } from '../index.js';
import { roundPanel } from '../round.js';
import { findCodebookGrid } from './codebook.js';

const seed = 31;

/** Least Σ w (x − c)² over all ways to cut the sorted numbers into at most `size` runs, by dynamic programming. */
function optimum(numbers: ArrayLike<number>, importance: ArrayLike<number>, size: number): number {
  const sorted = Array.from(numbers, (x, i) => ({ x, w: importance[i] ?? 1 })).sort((a, b) => a.x - b.x);
  const prefix = (term: (item: { x: number; w: number }) => number) => {
    let sum = 0;
    return [0, ...sorted.map((item) => (sum += term(item)))];
  };
  const [w, wx, wxx] = [prefix(({ w }) => w), prefix(({ x, w }) => w * x), prefix(({ x, w }) => w * x * x)];
  const range = (sums: number[], from: number, to: number) => (sums[to] ?? 0) - (sums[from] ?? 0);
  const cost = (from: number, to: number) =>
    from === to ? 0 : range(wxx, from, to) - range(wx, from, to) ** 2 / range(w, from, to);
  let best = sorted.map((_, i) => cost(0, i)).concat(cost(0, sorted.length));
  for (let clusters = 1; clusters < size; clusters++) {
    const before = best;
    best = before.map((_, to) =>
      before
        .slice(0, to + 1)
        .reduce((least, error, from) => Math.min(least, error + cost(from, to)), Infinity),
    );
  }
  return best.at(-1) ?? Number.NaN;
}

const matrix = (rows: number, cols: number, data = normals(rows * cols, seed)): Matrix => ({
  rows,
  cols,
  data,
});
const rowOf = ({ cols, data }: Matrix, row: number) => data.subarray(row * cols, (row + 1) * cols);
/** Importances over three decades. */
const importances = (cols: number) => {
  const random = uniform(seed + 1);
  return Float32Array.from({ length: cols }, () => 1000 ** random());
};

describe('a codebook', () => {
  test.each(['codebook2', 'codebook3', 'codebook4'])(
    '%s is optimal, up to rounding its table',
    async (type) => {
      const size = 2 ** Number(type.slice(-1));
      for (const cols of [3, 16, 100, 300]) {
        const weight = matrix(6, cols);
        const weights = importances(cols);
        const { errors } = await quantize(kernels, type, weight, weights);
        for (const [row, error] of errors.entries()) {
          const least = optimum(rowOf(weight, row), weights, size);
          // The table's values are off by up to 1/254 of the largest.
          const rounding = total([...weights]) * (Math.max(...rowOf(weight, row).map(Math.abs)) / 254) ** 2;
          expect(error, `${cols} columns, seed ${seed}`).toBeGreaterThanOrEqual(least * (1 - 1e-4) - 1e-9);
          expect(error, `${cols} columns, seed ${seed}`).toBeLessThanOrEqual(least + rounding);
        }
      }
    },
  );

  test('of a long row, whose numbers are joined to runs first, is all but optimal', async () => {
    const weight = matrix(2, 1500);
    const weights = importances(1500);
    const { errors } = await quantize(kernels, 'codebook3', weight, weights);
    const least = [0, 1].map((row) => optimum(rowOf(weight, row), weights, 8));
    expect(total(errors) / total(least), `seed ${seed}`).toBeLessThan(1.005);
  });

  test('needs no more than one value for equal weights, and none for zeros', async () => {
    const weight = matrix(
      3,
      8,
      Float32Array.from([...Array(8).fill(0), ...Array(8).fill(0.7), ...Array(8).fill(-3)]),
    );
    const { values, errors } = await quantize(kernels, 'codebook3', weight);
    expect([...values.subarray(0, 8)]).toEqual(Array(8).fill(0));
    expect(total(errors)).toBeLessThan(1e-5);
  });

  test('makes do where no input matters', async () => {
    const weight = matrix(4, 64);
    const unweighted = await quantize(kernels, 'codebook2', weight);
    const { values } = await quantize(kernels, 'codebook2', weight, new Float32Array(64));
    expect(values).toEqual(unweighted.values);
  });

  test('is the same with any number of threads', async () => {
    const alone = await createKernels();
    const weight = matrix(70, 130);
    expect(await quantize(alone, 'codebook4', weight)).toEqual(await quantize(kernels, 'codebook4', weight));
    alone.close();
  });

  test.each([
    ['codebook2', 'int2-g256'],
    ['codebook3', 'int3-g128'],
    ['codebook4', 'int4-g64'],
  ])('%s beats %s at no more bytes on a layer of a language model', async (type, uniformType) => {
    for (const { name, ...layer } of (await talesLayers()).filter(({ cols }) => cols > 256)) {
      const bytes = (grid: string) => findGrid(grid).bytes(layer.rows, layer.cols);
      expect(bytes(type) / bytes(uniformType), name).toBeLessThanOrEqual(1);
      const [own, other] = [
        await quantize(kernels, type, layer),
        await quantize(kernels, uniformType, layer),
      ];
      expect(total(own.errors) / total(other.errors), name).toBeLessThan(1);
    }
  });

  test('is rounded to by error feedback', async () => {
    const gemm = createGemm();
    const weight = matrix(37, 128);
    const gram = await syntheticGram(gemm, 128, seed);
    const solve = (solver: string) =>
      kernels.scope(async (arena) => {
        const panel = await toPanel(kernels, arena, weight);
        const context = { kernels, arena, gemm };
        const grid = findGrid('codebook3');
        const { encoded } = await findSolver(solver).solve(context, panel, { gram, tokens: 1 }, grid);
        const { codes, values, stride, parameters } = encoded;
        const nearest = { codes: arena.u8(128 * stride), values: arena.f32(128 * stride) };
        await roundPanel(kernels, { ...panel, data: values }, grid, parameters, nearest);
        expect(nearest.values, solver).toEqual(values);
        expect(nearest.codes, solver).toEqual(codes);
        return layerError(context, gram, panel, encoded.values);
      });
    expect((await solve('gptq')) / (await solve('rtn')), `seed ${seed}`).toBeLessThan(0.6);
    await gemm.release();
  });

  test('has names, and nothing else does', () => {
    expect(findCodebookGrid('codebook3')?.bytes(5, 100)).toBe(5 * (38 + 2 + 8));
    for (const name of ['codebook', 'codebook5', 'codebook3-g32', 'int3'])
      expect(findCodebookGrid(name), name).toBeUndefined();
  });
});
