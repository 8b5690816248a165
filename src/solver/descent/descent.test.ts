import { describe, expect, test } from 'vitest';
import { gemm, kernels, type Layer, randomLayer } from '../../../test/fixtures/solver-context.js';
import { energyReference } from '../../../test/reference/solvers.js';
import type { Grid } from '../../grid/grid.js';
import { findGrid } from '../../grid/index.js';
import { createKernels } from '../../kernels/kernels.js';
import { fromPanel, toPanel } from '../../kernels/panel.js';
import { findSolver } from '../index.js';
import { layerError } from '../layer-error.js';
import { rtn } from '../rtn.js';
import { descentDefaults } from './plan.js';
import { prepareSweeps } from './sweeps.js';

function solve(solver: string, { weight, gram }: Layer, grid: Grid, options = {}, own = kernels) {
  return own.scope(async (arena) => {
    const panel = await toPanel(own, arena, weight);
    const context = { kernels: own, arena, gemm };
    const moments = { gram, tokens: 1 };
    const { encoded } = await findSolver(solver).solve(context, panel, moments, grid, options);
    const rowMajor = async (data: Float32Array) => (await fromPanel(own, { ...panel, data })).data;
    const bytes = await grid.pack(own, encoded);
    const read = await grid.unpack(own, arena, bytes, weight.rows, weight.cols);
    const { scale, offset } = encoded.parameters;
    return {
      relativeError: await layerError(context, gram, panel, encoded.values),
      values: await rowMajor(encoded.values),
      stored: await rowMajor(read.values),
      codes: encoded.codes?.slice(),
      scale: scale.slice(),
      offset: offset.slice(),
      stride: encoded.stride,
    };
  });
}

const double = (data: Float32Array) => Float64Array.from(data);

/** ε in double precision. */
function errorOf({ weight, gram }: Layer, values: Float32Array): number {
  const target = double(weight.data);
  const difference = target.map((value, i) => value - (values[i] ?? Number.NaN));
  const energy = (x: Float64Array) => energyReference(x, weight.rows, double(gram.data));
  return energy(difference) / energy(target);
}

/** Δ H Δᵀ of one row. */
function rowLoss({ weight, gram }: Layer, values: Float32Array, row: number): number {
  const range = [row * weight.cols, (row + 1) * weight.cols] as const;
  const target = double(weight.data.subarray(...range));
  const own = values.subarray(...range);
  return energyReference(
    target.map((value, i) => value - (own[i] ?? Number.NaN)),
    1,
    double(gram.data),
  );
}

const close = (actual: number, expected: number, relative: number) =>
  expect(Math.abs(actual / expected - 1), `${actual} against ${expected}`).toBeLessThan(relative);

const direct = ['q8_0', 'q4_0', 'q4_1', 'q5_1', 'iq4_nl', 'mxfp4', 'q2_0', 'q1_0', 'tq2_0'];
const twoLevel = ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', 'iq4_xs'];
const own = [
  'int2-g32-asym',
  'int3-g64',
  'int4-g16-asym',
  'int3-g256-asym',
  'int4-channel',
  'int3-channel-asym',
  'int2-tensor',
];
const exact = { damping: 0, tolerance: 0, temperature: 0 };
const annealed = { sweeps: 2, temperature: 1, annealingSweeps: 4, annealingPasses: 4 };

describe.each(['quantease', 'greedy', 'decoupleq'])('%s', (solver) => {
  test.each([...direct, ...twoLevel, ...own])(
    'never raises the loss, and stays storable, on %s',
    async (name) => {
      const grid = findGrid(name);
      const problem = await randomLayer(21, grid.blockSize > 64 ? 512 : 320, 11, {
        rank: 200,
        outliers: 0.02,
      });
      let before = (await solve('gptq', problem, grid)).relativeError;
      for (const sweeps of [1, 2, 3]) {
        const outcome = await solve(solver, problem, grid, { ...exact, sweeps });
        close(outcome.relativeError, errorOf(problem, outcome.values), 1e-3);
        expect(outcome.relativeError).toBeLessThanOrEqual(before * (1 + 1e-6));
        expect(outcome.values).toEqual(outcome.stored);
        before = outcome.relativeError;
      }
    },
  );

  test.each(['q4_1', 'iq4_nl', 'q2_k', 'q3_k', 'int4-g16-asym', 'int4-channel'])(
    'annealed never ends above the start in any row, and stays storable, on %s',
    async (name) => {
      const grid = findGrid(name);
      const problem = await randomLayer(21, grid.blockSize > 64 ? 512 : 320, 11, {
        rank: 200,
        outliers: 0.02,
      });
      const before = await solve('gptq', problem, grid);
      // Too hot and never cooled down: many rows would end far above the start.
      const hot = { ...annealed, damping: 0, sweeps: 1, temperature: 10, annealingSweeps: 1 };
      for (const options of [{ ...annealed, damping: 0 }, hot]) {
        const outcome = await solve(solver, problem, grid, options);
        close(outcome.relativeError, errorOf(problem, outcome.values), 1e-3);
        expect(outcome.values).toEqual(outcome.stored);
        for (let row = 0; row < problem.weight.rows; row++) {
          const lossOf = ({ values }: { values: Float32Array }) => rowLoss(problem, values, row);
          expect(lossOf(outcome)).toBeLessThanOrEqual(lossOf(before) * (1 + 1e-5));
        }
      }
    },
  );

  test('starts from rounding, too', async () => {
    const problem = await randomLayer(32, 256, 21, { rank: 128 });
    const grid = findGrid('q4_0');
    const rounded = await solve('rtn', problem, grid);
    const outcome = await solve(solver, problem, grid, { start: 'rtn', sweeps: 10 });
    expect(outcome.relativeError).toBeLessThan(0.5 * rounded.relativeError);
  });

  test.each([
    [1, 32],
    [3, 160],
    [17, 288],
    [130, 96],
  ])('does not depend on the number of threads for %i × %i', async (rows, cols) => {
    const problem = await randomLayer(rows, cols, 31, { rank: 64 });
    const first = await solve(solver, problem, findGrid('q4_1'));
    for (const threads of [1, 3]) {
      const other = await createKernels({ threads });
      expect(await solve(solver, problem, findGrid('q4_1'), {}, other)).toEqual(first);
      other.close();
    }
  });

  test('does not depend on the block size', async () => {
    const problem = await randomLayer(256, 576, 41, { rank: 512 });
    const error = async (blockSize: number) =>
      (await solve(solver, problem, findGrid('int3-g32-asym'), { blockSize })).relativeError;
    const usual = await error(descentDefaults.blockSize);
    for (const blockSize of [64, 96, 512]) close(await error(blockSize), usual, 1e-3);
  });

  test('inputs that never fire and inputs without any energy keep their weights rounded', async () => {
    const problem = await randomLayer(8, 128, 51);
    for (const column of [0, 5, 64, 127]) {
      for (let i = 0; i < 128; i++)
        problem.gram.data[column * 128 + i] = problem.gram.data[i * 128 + column] = 0;
    }
    const outcome = await solve(solver, problem, findGrid('q8_0'));
    close(outcome.relativeError, errorOf(problem, outcome.values), 1e-3);
    expect(errorOf(problem, outcome.values)).toBeLessThan(1e-4);
    const scaled = { ...problem.gram, data: problem.gram.data.map((value) => value * 1e-33) };
    const small = await solve(solver, { ...problem, gram: scaled }, findGrid('q8_0'));
    close(small.relativeError, outcome.relativeError, 1e-2);
    problem.gram.data.fill(0);
    expect((await solve(solver, problem, findGrid('q8_0'))).relativeError).toBe(0);
  });

  test('float types come out finite and without codes', async () => {
    const { codes, values } = await kernels.scope(async (arena) => {
      const problem = await randomLayer(6, 96, 61);
      const panel = await toPanel(kernels, arena, problem.weight);
      const moments = { gram: problem.gram, tokens: 1 };
      const context = { kernels, arena, gemm };
      return (await findSolver(solver).solve(context, panel, moments, findGrid('f16'))).encoded;
    });
    expect(codes).toBeUndefined();
    expect(values.every(Number.isFinite)).toBe(true);
  });
});

/** In how many of 100 rows of four inputs at two bits quantease finds the best codes for its scales. */
async function tinyOptima(options: object): Promise<{ found: number; rows: number }> {
  const grid = findGrid('int2-channel');
  const [rows, cols] = [100, 4];
  const problem = await randomLayer(rows, cols, 81, { rank: 4, outliers: 0, decay: 0.5 });
  const { values, scale } = await solve('quantease', problem, grid, options);
  let found = 0;
  for (let row = 0; row < rows; row++) {
    const target = problem.weight.data.subarray(row * cols, row * cols + cols);
    const loss = (levels: readonly number[]) => {
      const delta = Float64Array.from(levels, (level, j) => (target[j] ?? 0) - level * (scale[row] ?? 0));
      return energyReference(delta, 1, double(problem.gram.data));
    };
    const levels = [-2, -1, 0, 1];
    let least = Number.POSITIVE_INFINITY;
    for (let code = 0; code < 4 ** cols; code++)
      least = Math.min(least, loss([0, 2, 4, 6].map((shift) => levels[(code >> shift) & 3] ?? 0)));
    const own = [...values.subarray(row * cols, row * cols + cols)].map((value) => value / (scale[row] ?? 0));
    if (loss(own) <= least * (1 + 1e-5)) found++;
  }
  return { found, rows };
}

describe('annealing', () => {
  test.each([
    ['quantease', 'int3-channel', 0.995],
    ['quantease', 'int2-g32-asym', 0.998],
    ['decoupleq', 'int2-g32-asym', 0.97],
    ['decoupleq', 'q2_k', 0.97],
  ])('leaves minima that %s does not on %s', async (solver, name, bound) => {
    const problem = await randomLayer(48, 256, 91, { rank: 256 });
    const grid = findGrid(name);
    const descended = await solve(solver, problem, grid, { ...exact, sweeps: 20 });
    const outcome = await solve(solver, problem, grid, { damping: 0, annealingSweeps: 16 });
    expect(outcome.relativeError).toBeLessThan(bound * descended.relativeError);
  });

  test('finds the optimum of tiny problems', async () => {
    const { found, rows } = await tinyOptima({ ...exact, windows: 0, temperature: 3, annealingSweeps: 100 });
    expect(found).toBeGreaterThanOrEqual(0.95 * rows);
  });
});

describe('coordinate descent', () => {
  test('ends where no single column can do better', async () => {
    const problem = await randomLayer(5, 64, 71, { rank: 128 });
    const grid = findGrid('int3-g32');
    const options = { ...exact, sweeps: 100, windows: 0 };
    const { values, scale, stride } = await solve('quantease', problem, grid, options);
    const { weight, gram } = problem;
    let checked = 0;
    for (let row = 0; row < 5; row++) {
      const delta = Float64Array.from(
        { length: 64 },
        (_, j) => (weight.data[row * 64 + j] ?? 0) - (values[row * 64 + j] ?? 0),
      );
      for (let j = 0; j < 64; j++) {
        const step = scale[Math.floor(j / 32) * stride + row] ?? 0;
        const diagonal = gram.data[j * 65] ?? 0;
        let gradient = 0;
        for (let k = 0; k < 64; k++) gradient += (delta[k] ?? 0) * (gram.data[j * 64 + k] ?? 0);
        for (const level of [-4, -3, -2, -1, 0, 1, 2, 3]) {
          const move = step * level - (values[row * 64 + j] ?? 0);
          const rise = move * (move * diagonal - 2 * gradient);
          expect(rise).toBeGreaterThan(-1e-4 * diagonal * step ** 2);
          checked++;
        }
      }
    }
    expect(checked).toBe(5 * 64 * 8);
  });

  test('by the greedy rule needs fewer moves', async () => {
    const problem = await randomLayer(64, 256, 75, { rank: 128 });
    const descend = (rule: 'cyclic' | 'greedy') =>
      kernels.scope(async (arena) => {
        const context = { kernels, arena, gemm };
        const panel = await toPanel(kernels, arena, problem.weight);
        const { encoded } = await rtn(context, panel, undefined, findGrid('int3-g32'));
        const plan = { ...descentDefaults, rule, passes: 1, windows: 0, refits: 0, trials: 0, damping: 0 };
        const { sweep } = prepareSweeps(context, arena, panel, problem.gram, encoded, plan);
        let [gain, moves] = [0, 0];
        for (let i = 0; i < 20; i++) {
          const progress = await sweep();
          gain += progress.gain;
          moves += progress.moves;
        }
        return { gain, moves };
      });
    const [cyclic, greedy] = [await descend('cyclic'), await descend('greedy')];
    expect(greedy.gain).toBeGreaterThan(cyclic.gain);
    expect(greedy.moves).toBeLessThan(0.8 * cyclic.moves);
  });

  test('with windows finds the optimum of tiny problems', async () => {
    const { found, rows } = await tinyOptima({ ...exact, sweeps: 30, windows: 24, windowSize: 4 });
    expect(found).toBeGreaterThanOrEqual(0.95 * rows);
  });
});
