import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GramShape, syntheticGram } from '../../test/reference/gram.js';
import { normals } from '../../test/reference/random.js';
import { energyReference, gptqReference, type Rounding } from '../../test/reference/solvers.js';
import type { Grid } from '../grid/grid.js';
import { findGrid } from '../grid/index.js';
import { createKernels, type Kernels } from '../kernels/kernels.js';
import { fromPanel, toPanel } from '../kernels/panel.js';
import { createGemm } from '../runtime/gemm.js';
import type { Matrix } from '../types.js';
import { findSolver } from './index.js';

const gemm = createGemm();
let kernels: Kernels;
beforeAll(async () => {
  kernels = await createKernels({ threads: 2 });
});
afterAll(async () => {
  kernels.close();
  await gemm.release();
});

interface Case {
  readonly weight: Matrix;
  readonly gram: Matrix;
}

async function layer(
  rows: number,
  cols: number,
  seed: number,
  shape: Partial<GramShape> = {},
): Promise<Case> {
  const data = normals(rows * cols, seed);
  return { weight: { rows, cols, data }, gram: await syntheticGram(gemm, cols, seed + 1, shape) };
}

interface Outcome {
  readonly relativeError: number;
  /** Row-major. */
  readonly values: Float32Array;
  readonly codes: Uint8Array | undefined;
  readonly scale: Float32Array;
  readonly offset: Float32Array;
  readonly stride: number;
}

async function solve(
  solver: string,
  { weight, gram }: Case,
  grid: Grid,
  options: Record<string, unknown> = {},
  own = kernels,
): Promise<Outcome> {
  return own.scope(async (arena) => {
    const panel = await toPanel(own, arena, weight);
    const moments = { gram, tokens: 1 };
    const bench = { kernels: own, arena, gemm };
    const { encoded, relativeError } = await findSolver(solver).solve(bench, panel, moments, grid, options);
    const { parameters, codes, values, stride } = encoded;
    return {
      relativeError,
      values: (await fromPanel(own, { ...panel, data: values })).data,
      codes: codes?.slice(),
      scale: parameters.scale.slice(),
      offset: parameters.offset.slice(),
      stride,
    };
  });
}

/** Nearest value of a grid under given scales, by trying all. */
function rounding(
  grid: Grid,
  { scale, offset, stride }: Pick<Outcome, 'scale' | 'offset' | 'stride'>,
): Rounding {
  const { levels } = grid;
  if (levels.kind === 'cast') throw new Error('no levels');
  const all =
    levels.kind === 'table'
      ? [...levels.values]
      : Array.from({ length: levels.max - levels.min + 1 }, (_, code) => levels.min + code);
  return (t, row, column) => {
    const group = Number.isFinite(grid.groupSize) ? Math.floor(column / grid.groupSize) : 0;
    const [s, o] = [scale[group * stride + row] ?? Number.NaN, offset[group * stride + row] ?? Number.NaN];
    let best = Number.NaN;
    for (const level of all) {
      const value = s * level + o;
      if (!(Math.abs(value - t) >= Math.abs(best - t))) best = value;
    }
    return best;
  };
}

const double = ({ data }: Matrix) => Float64Array.from(data);

function errorOf({ weight, gram }: Case, values: Float64Array): number {
  const target = double(weight);
  const difference = target.map((value, i) => value - (values[i] ?? Number.NaN));
  const [loss, energy] = [difference, target].map((x) => energyReference(x, weight.rows, double(gram)));
  return (loss ?? Number.NaN) / (energy ?? Number.NaN);
}

function processingOrder({ gram: { rows, data } }: Case, kind: 'natural' | 'activation'): number[] {
  const columns = Array.from({ length: rows }, (_, column) => column);
  const energy = (column: number) => data[column * rows + column] ?? 0;
  return kind === 'natural' ? columns : columns.sort((a, b) => energy(b) - energy(a));
}

const close = (actual: number, expected: number, relative: number) =>
  expect(Math.abs(actual / expected - 1), `${actual} against ${expected}`).toBeLessThan(relative);

describe('gptq', () => {
  const grids = [
    'q8_0',
    'q4_0',
    'q4_1',
    'q5_1',
    'iq4_nl',
    'mxfp4',
    'q2_0',
    'q1_0',
    'q2_k',
    'q3_k',
    'q4_k',
    'iq4_xs',
    'tq2_0',
  ];
  test.each(grids)('has the error of the textbook form in double precision on %s', async (name) => {
    const grid = findGrid(name);
    const cols = grid.blockSize > 64 ? 512 : 320;
    const problem = await layer(24, cols, 11, { rank: 200, outliers: 0.02 });
    for (const order of ['natural', 'activation'] as const) {
      const outcome = await solve('gptq', problem, grid, { order, blockSize: 64 });
      const round = rounding(grid, outcome);
      const steps = processingOrder(problem, order);
      const reference = gptqReference(double(problem.weight), 24, double(problem.gram), steps, 0.01, round);
      close(outcome.relativeError, errorOf(problem, reference), 0.02);
      close(outcome.relativeError, errorOf(problem, Float64Array.from(outcome.values)), 1e-3);
      // Nearly all of the values are the very same; the rest were within rounding of a midpoint.
      const same = outcome.values.filter((value, i) => Math.abs(value - (reference[i] ?? 0)) < 1e-6).length;
      expect(same / reference.length).toBeGreaterThan(0.98);
    }
  });
});
