import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { gemm, kernels, type Layer, randomLayer } from '../../test/fixtures/solver-context.js';
import { normals } from '../../test/reference/random.js';
import { energyReference, gptqReference, type Rounding } from '../../test/reference/solvers.js';
import type { Grid } from '../grid/grid.js';
import { findGrid } from '../grid/index.js';
import { createKernels } from '../kernels/kernels.js';
import { fromPanel, toPanel } from '../kernels/panel.js';
import { createGemm } from '../runtime/gemm.js';
import type { Matrix } from '../types.js';
import { findSolver } from './index.js';

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
  { weight, gram }: Layer,
  grid: Grid,
  options: Record<string, unknown> = {},
  own = kernels,
  product = gemm,
): Promise<Outcome> {
  return own.scope(async (arena) => {
    const panel = await toPanel(own, arena, weight);
    const moments = { gram, tokens: 1 };
    const context = { kernels: own, arena, gemm: product };
    const { encoded, relativeError } = await findSolver(solver).solve(context, panel, moments, grid, options);
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
  if (levels.kind !== 'uniform' && levels.kind !== 'table') throw new Error('no levels');
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

function errorOf({ weight, gram }: Layer, values: Float64Array): number {
  const target = double(weight);
  const difference = target.map((value, i) => value - (values[i] ?? Number.NaN));
  const [loss, energy] = [difference, target].map((x) => energyReference(x, weight.rows, double(gram)));
  return (loss ?? Number.NaN) / (energy ?? Number.NaN);
}

/** Columns first to last, or by falling diag H with runs of `together` columns kept together. */
function processingOrder(
  { gram: { rows, data } }: Layer,
  kind: 'natural' | 'activation',
  together = 1,
): number[] {
  const columns = Array.from({ length: rows }, (_, column) => column);
  if (kind === 'natural') return columns;
  const energy = (column: number) => data[column * rows + column] ?? Number.NaN;
  const runs = columns
    .filter((column) => column % together === 0)
    .map((first) => columns.slice(first, first + together));
  const sum = (run: number[]) => run.reduce((total, column) => total + energy(column), 0);
  return runs.sort((a, b) => sum(b) - sum(a)).flatMap((run) => run.sort((a, b) => energy(b) - energy(a)));
}

const close = (actual: number, expected: number, relative: number) =>
  expect(Math.abs(actual / expected - 1), `${actual} against ${expected}`).toBeLessThan(relative);

/** Four-bit integers, a scale per 32 columns from the largest magnitude: simple enough to do twice. */
const maximumGrid: Grid = {
  name: 'maximum',
  summary: 'for this test',
  levels: { kind: 'uniform', min: -8, max: 7 },
  blockSize: 32,
  blockBytes: 18,
  groupSize: 32,
  runtimes: [],
  bytes: (rows, cols) => (rows * cols * 18) / 32,
  allocate(arena, rows, cols) {
    const length = (cols / 32) * Math.ceil(rows / 4) * 4;
    return { scale: arena.f32(length), offset: arena.f32(length), stored: {} };
  },
  async fit(_, { rows, cols, stride, data }, _importance, { scale }, from) {
    for (let row = 0; row < rows; row++) {
      const values = Array.from({ length: cols }, (_, column) => data[column * stride + row] ?? Number.NaN);
      for (let group = 0; group < cols; group += 32)
        scale[((from + group) / 32) * stride + row] = maximumScale(values.slice(group, group + 32));
    }
  },
  pack: () => Promise.reject(),
  unpack: () => Promise.reject(),
};

/** A codebook per tensor, of so many levels that kernels bisect it. */
const codebookGrid: Grid = {
  ...maximumGrid,
  name: 'codebook',
  levels: { kind: 'table', values: normals(200, 3).sort() },
  fit: async (_, _weight, _importance, { scale }) => void scale.fill(1),
};

/** The nearest number with the eleven significant bits of a half. */
function toHalf(x: number): number {
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(x) || 1)) - 10);
  const [units, side] = [Math.floor(x / unit), (x / unit) % 1];
  // Ties to even: products of a half and a small integer often lie in the middle of two halves.
  return (Math.abs(side) === 0.5 ? units + (units & 1) : Math.round(x / unit)) * unit;
}

const maximumScale = (values: number[]) => Math.fround(Math.max(...values.map(Math.abs)) / 8);

const grids = [
  ...['q8_0', 'q4_0', 'q4_1', 'q5_1', 'iq4_nl', 'mxfp4', 'q2_0', 'q1_0'],
  ...['q2_k', 'q3_k', 'q4_k', 'iq4_xs', 'tq2_0'],
  ...['int3-g64-asym', 'int4-channel', 'int2-tensor'],
];

describe('gptq', () => {
  test.each([...grids.map(findGrid), codebookGrid])(
    'has the error of the textbook form on $name',
    async (grid) => {
      const problem = await randomLayer(13, grid.blockSize > 64 ? 512 : 320, 11, {
        rank: 200,
        outliers: 0.02,
      });
      for (const order of ['natural', 'activation'] as const) {
        const outcome = await solve('gptq', problem, grid, { order, groups: 'static', blockSize: 64 });
        const round = rounding(grid, outcome);
        const steps = processingOrder(problem, order);
        const reference = gptqReference(double(problem.weight), 13, double(problem.gram), steps, 0.01, round);
        close(outcome.relativeError, errorOf(problem, reference), 0.02);
        close(outcome.relativeError, errorOf(problem, Float64Array.from(outcome.values)), 1e-3);
        // Nearly all values are the very same; the others were within rounding of a midpoint.
        expect(share(outcome.values, reference)).toBeGreaterThan(0.98);
      }
    },
  );

  test.each(['natural', 'activation'] as const)(
    'fits scales on the way as the textbook form does, %s order',
    async (order) => {
      const problem = await randomLayer(9, 256, 21, { rank: 512, decay: 0.5 });
      const outcome = await solve('gptq', problem, maximumGrid, { order, groups: 'dynamic', blockSize: 64 });
      const steps = processingOrder(problem, order, 32);
      const scales = { scale: new Float32Array(8 * 12), offset: new Float32Array(8 * 12), stride: 12 };
      const fit = (position: number, current: Float64Array) => {
        if (position % 32) return;
        const first = Math.min(...steps.slice(position, position + 32));
        for (let row = 0; row < 9; row++) {
          const values = [...current.subarray(row * 256 + first, row * 256 + first + 32)];
          scales.scale[(first / 32) * 12 + row] = maximumScale(values);
        }
      };
      const round = rounding(maximumGrid, scales);
      const reference = gptqReference(
        double(problem.weight),
        9,
        double(problem.gram),
        steps,
        0.01,
        round,
        fit,
      );
      close(outcome.relativeError, errorOf(problem, reference), 0.02);
      expect(share(outcome.values, reference)).toBeGreaterThan(0.95);
    },
  );

  test.each(['int4-g32', 'int3-g64-asym', 'int2-channel', 'int4-channel-asym'])(
    'with the scales of the published code has its error on %s',
    async (name) => {
      const problem = await randomLayer(9, 256, 25, { rank: 512, decay: 0.5 });
      const grid = findGrid(name);
      const { levels } = grid;
      if (levels.kind !== 'uniform') throw new Error('no integers');
      const [size, spread] = [Math.min(grid.groupSize, 256), levels.max - levels.min];
      const outcome = await solve('gptq', problem, grid, {
        order: 'natural',
        scales: 'range',
        blockSize: 64,
      });
      const scales = {
        scale: outcome.scale.slice().fill(0),
        offset: outcome.offset.slice().fill(0),
        stride: 12,
      };
      const fit = (position: number, current: Float64Array) => {
        if (position % size) return;
        for (let row = 0; row < 9; row++) {
          const values = [0, ...current.subarray(row * 256 + position, row * 256 + position + size)];
          const [low, high] = [Math.min(...values), Math.max(...values)];
          const range = levels.min < 0 ? 2 * Math.max(high, -low) : high - low;
          const scale = toHalf(range / spread);
          scales.scale[(position / size) * 12 + row] = scale;
          if (levels.min === 0)
            scales.offset[(position / size) * 12 + row] = toHalf(scale * Math.round(low / scale));
        }
      };
      const steps = processingOrder(problem, 'natural');
      const [target, gram] = [double(problem.weight), double(problem.gram)];
      const reference = gptqReference(target, 9, gram, steps, 0.01, rounding(grid, scales), fit);
      close(outcome.relativeError, errorOf(problem, reference), 0.02);
      expect(share(outcome.values, reference)).toBeGreaterThan(0.95);
      expect(outcome.relativeError).toBeGreaterThan((await solve('gptq', problem, grid)).relativeError);
    },
  );

  test('refuses such scales where a grid has no ranges', async () => {
    const problem = await randomLayer(4, 256, 26);
    for (const solver of ['gptq', 'rtn', 'quantease'])
      for (const name of ['q4_k', 'iq4_nl', 'int3-tensor'])
        await expect(solve(solver, problem, findGrid(name), { scales: 'range' })).rejects.toThrow(
          `type ${name} cannot take its scales from`,
        );
  });

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

/** Tells any two outcomes apart, without a listing of all their numbers. */
const digest = ({ values, codes, scale, offset }: Outcome): string =>
  [values, codes ?? values, scale, offset]
    .map((array) => createHash('sha256').update(array).digest('hex'))
    .join();

/** The share of values that are equal up to single precision. */
function share(values: Float32Array, reference: Float64Array): number {
  const tolerance = 1e-5 * Math.max(...reference.map(Math.abs));
  return (
    values.filter((value, i) => Math.abs(value - (reference[i] ?? Number.NaN)) <= tolerance).length /
    values.length
  );
}
