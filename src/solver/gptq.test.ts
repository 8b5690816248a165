import { describe, expect, test } from 'vitest';
import { close, double, errorOf, rounding, solve } from '../../test/fixtures/solved.js';
import { type Layer, randomLayer } from '../../test/fixtures/solver-context.js';
import { normals } from '../../test/reference/random.js';
import { gptqReference } from '../../test/reference/solvers.js';
import type { Grid } from '../grid/grid.js';
import { findGrid } from '../grid/index.js';

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

/** The share of values that are equal up to single precision. */
function share(values: Float32Array, reference: Float64Array): number {
  const tolerance = 1e-5 * Math.max(...reference.map(Math.abs));
  return (
    values.filter((value, i) => Math.abs(value - (reference[i] ?? Number.NaN)) <= tolerance).length /
    values.length
  );
}

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
});
