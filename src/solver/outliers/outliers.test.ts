import { describe, expect, test } from 'vitest';
import { gemm, kernels, type Layer, randomLayer } from '../../../test/fixtures/solver-context.js';
import { normal, normals, uniform } from '../../../test/reference/random.js';
import { energyReference } from '../../../test/reference/solvers.js';
import { findGrid } from '../../grid/index.js';
import { findOutlierGrid, outliersOf } from '../../grid/tersor/outliers.js';
import { createKernels } from '../../kernels/kernels.js';
import { fromPanel, toPanel } from '../../kernels/panel.js';
import { findSolver } from '../index.js';
import { layerError } from '../layer-error.js';
import { rtn } from '../rtn.js';
import { chooseOutliers } from './support.js';
import { prepareOutliers } from './values.js';

const exact = { damping: 0, tolerance: 0 };
const double = (data: Float32Array) => Float64Array.from(data);

/** Student's t: heavy tails, the heavier the fewer degrees of freedom. */
function heavyTailed(length: number, freedom: number, seed: number): Float32Array {
  const next = normal(seed);
  return Float32Array.from({ length }, () => {
    let squares = 0;
    for (let i = 0; i < freedom; i++) squares += next() ** 2;
    return next() / Math.sqrt(squares / freedom);
  });
}

function gridOf(name: string) {
  const grid = findOutlierGrid(name);
  if (!grid) throw new Error(`no grid ${name}`);
  return grid;
}

function solve(type: string, { weight, gram }: Layer, options = {}, own = kernels, moments = true) {
  const grid = findGrid(type);
  return own.scope(async (arena) => {
    const panel = await toPanel(own, arena, weight);
    const context = { kernels: own, arena, gemm };
    const solver = findSolver(findOutlierGrid(type) ? 'outliers' : 'quantease');
    const known = moments ? { gram, tokens: 1 } : undefined;
    const { encoded } = await solver.solve(context, panel, known, grid, options);
    const rowMajor = async (data: Float32Array) => (await fromPanel(own, { ...panel, data })).data;
    const bytes = await grid.pack(own, encoded);
    const read = await grid.unpack(own, arena, bytes, weight.rows, weight.cols);
    return {
      relativeError: await layerError(context, known?.gram, panel, encoded.values),
      bytes,
      values: await rowMajor(encoded.values),
      stored: await rowMajor(read.values),
      outliers: findOutlierGrid(type) ? await rowMajor(outliersOf(read.parameters).outliers) : undefined,
    };
  });
}

/** ε in double precision. */
function errorOf({ weight, gram }: Layer, values: Float32Array): number {
  const target = double(weight.data);
  const difference = target.map((value, i) => value - (values[i] ?? Number.NaN));
  const energy = (x: Float64Array) => energyReference(x, weight.rows, double(gram.data));
  return energy(difference) / energy(target);
}

const close = (actual: number, expected: number, relative: number) =>
  expect(Math.abs(actual / expected - 1), `${actual} against ${expected}`).toBeLessThan(relative);

describe('outliers', () => {
  test.each(['int3-g32-s1', 'int2-channel-asym-s2', 'int4-g16-asym-s5', 'codebook3-s1', 'int3-g64-c2'])(
    'never raise the loss, and are stored as they are, on %s',
    async (type) => {
      const problem = await randomLayer(21, 320, 11, { rank: 200, outliers: 0.02 });
      let before = Number.POSITIVE_INFINITY;
      for (const sweeps of [1, 2, 3]) {
        const { relativeError, values, stored, outliers } = await solve(type, problem, { ...exact, sweeps });
        close(relativeError, errorOf(problem, values), 1e-3);
        expect(relativeError).toBeLessThanOrEqual(before * (1 + 1e-6));
        expect(stored).toEqual(values);
        const count = outliers?.filter((value) => value !== 0).length ?? 0;
        const { columns, room } = gridOf(type);
        const most = room(21, 320) * (columns ? 21 : 1);
        expect(count).toBeLessThanOrEqual(most);
        expect(count).toBeGreaterThan(0.85 * most);
        before = relativeError;
      }
    },
  );

  test('are found where they were put', async () => {
    const problem = await randomLayer(32, 256, 21, { rank: 256, outliers: 0 });
    const random = uniform(22);
    const put = new Set(Array.from({ length: 80 }, () => Math.floor(random() * 32 * 256)));
    for (const at of put) problem.weight.data[at] = (problem.weight.data[at] ?? 0) > 0 ? 30 : -30;
    const plain = await solve('int4-channel', problem);
    const { outliers, relativeError } = await solve('int4-channel-s1', problem);
    expect([...put].filter((at) => outliers?.[at])).toHaveLength(put.size);
    // Without them the rows are normal again: what remains is a small share of the energy.
    expect(relativeError / plain.relativeError).toBeLessThan(0.1);
  });

  test('of 1 % of the weights halve the error of QuantEase where tails are heavy, and take a sixth where not', async () => {
    const { gram } = await randomLayer(1, 256, 31);
    for (const [data, type, bound] of [
      [heavyTailed(64 * 256, 4, 32), 'int3-channel', 0.5],
      [heavyTailed(64 * 256, 3, 32), 'int3-g64', 0.5],
      [normals(64 * 256, 32), 'int3-channel', 0.8],
      [normals(64 * 256, 32), 'int3-g32', 0.85],
    ] as const) {
      const problem = { weight: { rows: 64, cols: 256, data }, gram };
      const before = (await solve(type, problem)).relativeError;
      const own = (await solve(`${type}-s1`, problem)).relativeError;
      expect(own / before, type).toBeLessThan(bound);
    }
  });

  test.each([
    [1, 32],
    [17, 288],
    [130, 96],
  ])('do not depend on the number of threads for %i × %i', async (rows, cols) => {
    const problem = await randomLayer(rows, cols, 41, { rank: 64 });
    for (const type of ['int3-s2', 'int3-channel-c5']) {
      const first = await solve(type, problem);
      for (const threads of [1, 3]) {
        const other = await createKernels({ threads });
        expect(await solve(type, problem, {}, other)).toEqual(first);
        other.close();
      }
    }
  });

  test('without moments are what rounding changes most', async () => {
    const problem = await randomLayer(32, 128, 51);
    const plain = await solve('int3-g32', problem, {}, kernels, false);
    const { relativeError, values, stored } = await solve('int3-g32-s1', problem, {}, kernels, false);
    expect(stored).toEqual(values);
    expect(relativeError / plain.relativeError).toBeLessThan(0.85);
  });

  test('make do with inputs that never fire', async () => {
    const problem = await randomLayer(8, 128, 61);
    for (const column of [0, 5, 64, 127]) {
      for (let i = 0; i < 128; i++)
        problem.gram.data[column * 128 + i] = problem.gram.data[i * 128 + column] = 0;
    }
    const outcome = await solve('int8-g32-s1', problem);
    expect(outcome.relativeError).toBeLessThan(1e-4);
    problem.gram.data.fill(0);
    expect((await solve('int8-g32-s1', problem)).relativeError).toBe(0);
  });

  test('need a type that has them', async () => {
    const problem = await randomLayer(4, 32, 71);
    await kernels.scope(async (arena) => {
      const panel = await toPanel(kernels, arena, problem.weight);
      const context = { kernels, arena, gemm };
      const moments = { gram: problem.gram, tokens: 1 };
      await expect(findSolver('outliers').solve(context, panel, moments, findGrid('int3'))).rejects.toThrow(
        'type int3 does not',
      );
      const groups = findSolver('outliers').solve(context, panel, moments, findGrid('int3-g64-s1'));
      await expect(groups).rejects.toThrow('stores 64 columns together');
    });
  });
});

describe('the choice of outliers', () => {
  test('gives every group as many as make the sum of errors least', async () => {
    // Groups with nothing to gain beside groups with one, two or three weights that do not fit.
    const [rows, cols] = [16, 128];
    const random = uniform(81);
    const data = Float32Array.from({ length: rows * cols }, () => 0.8 * Math.round(7 * random() - 4));
    const wanted = new Set<number>();
    for (let row = 0; row < rows; row += 4)
      for (const col of [3, 40, 50, 70, 75, 90]) {
        data[row * cols + col] = 11 + random();
        wanted.add(row * cols + col);
      }
    await kernels.scope(async (arena) => {
      const weight = await toPanel(kernels, arena, { rows, cols, data });
      const importance = arena.f32(cols).fill(1);
      const grid = gridOf('int3-g32-s2');
      const marks = await chooseOutliers({ kernels, gemm, arena }, arena, weight, importance, grid);
      const chosen = new Set<number>();
      for (const [i, mark] of marks.entries())
        if (mark) chosen.add((i % weight.stride) * cols + Math.floor(i / weight.stride));
      expect(chosen.size).toBeLessThanOrEqual(grid.room(rows, cols));
      for (const at of wanted) expect(chosen.has(at), `weight ${at}`).toBe(true);
    });
  });
});

describe('values of outliers', () => {
  /** Rounded weights with these places for outliers, then improved. */
  function improved(
    problem: Layer,
    places: ReadonlySet<number>,
    options: { passes: number; exchanges: number },
  ) {
    const { weight, gram } = problem;
    return kernels.scope(async (arena) => {
      const context = { kernels, arena, gemm };
      const panel = await toPanel(kernels, arena, weight);
      const { encoded } = await rtn(context, panel, { gram, tokens: 1 }, findGrid('int3-channel'));
      const rounded = (await fromPanel(kernels, { ...panel, data: encoded.values })).data;
      const outliers = arena.f32(panel.data.length);
      const marks = arena.u8(panel.data.length);
      for (const at of places) marks[(at % weight.cols) * panel.stride + Math.floor(at / weight.cols)] = 1;
      const sparse = { weight: panel, gram, encoded, outliers, marks };
      const improve = prepareOutliers(context, arena, sparse, { damping: 0, blockSize: 256, ...options });
      const gain = await improve();
      return {
        gain,
        rounded,
        codes: (await fromPanel(kernels, { ...panel, data: encoded.values })).data,
        outliers: (await fromPanel(kernels, { ...panel, data: outliers })).data,
        scale: encoded.parameters.scale.slice(),
      };
    });
  }

  const lossOf = ({ weight, gram }: Layer, values: Float64Array) =>
    energyReference(
      double(weight.data).map((w, i) => w - (values[i] ?? Number.NaN)),
      weight.rows,
      double(gram.data),
    );
  const sum = (a: Float32Array, b: Float32Array) => double(a).map((x, i) => x + (b[i] ?? Number.NaN));

  test('are the least squares of what codes leave', async () => {
    const problem = await randomLayer(6, 48, 91, { rank: 96 });
    const places = new Set([3, 17, 40, 48 + 2, 48 + 3, 96, 5 * 48 + 47]);
    const { rounded, outliers, gain } = await improved(problem, places, { passes: 60, exchanges: 0 });
    for (const [at, value] of outliers.entries()) expect(value !== 0, `weight ${at}`).toBe(places.has(at));
    const values = sum(rounded, outliers);
    close(lossOf(problem, double(rounded)) - lossOf(problem, values), gain, 1e-3);
    // At the minimum the gradient is zero at every place, but for the rounding to halves.
    for (const at of places) {
      const [row, col] = [Math.floor(at / 48), at % 48];
      let gradient = 0;
      for (let k = 0; k < 48; k++) {
        const delta = (problem.weight.data[row * 48 + k] ?? 0) - (values[row * 48 + k] ?? 0);
        gradient += delta * (problem.gram.data[col * 48 + k] ?? 0);
      }
      const step = gradient / (problem.gram.data[col * 49] ?? 0);
      expect(Math.abs(step)).toBeLessThan(2e-3 * Math.abs(outliers[at] ?? 0) + 1e-6);
    }
  });

  test('change places until no exchange lowers the loss', async () => {
    const [rows, cols] = [24, 16];
    const problem = await randomLayer(rows, cols, 101, { rank: 32 });
    const places = new Set(Array.from({ length: rows }, (_, row) => row * cols + (row % cols)));
    const { codes, outliers, scale, rounded } = await improved(problem, places, {
      passes: 20,
      exchanges: 16,
    });
    expect(outliers.filter((value) => value !== 0)).toHaveLength(rows);
    const values = sum(codes, outliers);
    expect(lossOf(problem, values)).toBeLessThan(lossOf(problem, double(rounded)));
    const { data: h } = problem.gram;
    let moved = 0;
    for (let row = 0; row < rows; row++) {
      const own = [...outliers.subarray(row * cols, (row + 1) * cols).keys()];
      const out = own.find((col) => outliers[row * cols + col]) ?? Number.NaN;
      if (out !== row % cols) moved++;
      const single = {
        weight: { rows: 1, cols, data: problem.weight.data.subarray(row * cols, (row + 1) * cols) },
      };
      const now = values.slice(row * cols, (row + 1) * cols);
      const loss = lossOf({ ...single, gram: problem.gram }, now);
      for (const level of [-4, -3, -2, -1, 0, 1, 2, 3]) {
        for (const into of own.filter((col) => col !== out)) {
          const other = now.slice();
          other[out] = level * (scale[row] ?? 0);
          let gradient = 0;
          for (let k = 0; k < cols; k++)
            gradient += ((single.weight.data[k] ?? 0) - (other[k] ?? 0)) * (h[into * cols + k] ?? 0);
          other[into] = (other[into] ?? 0) + gradient / (h[into * (cols + 1)] ?? 0);
          expect(lossOf({ ...single, gram: problem.gram }, other)).toBeGreaterThan(loss * (1 - 1e-3));
        }
      }
    }
    expect(moved).toBeGreaterThan(rows / 2);
  });
});
