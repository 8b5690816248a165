import { describe, expect, test } from 'vitest';
import { gemm, kernels } from '../../test/fixtures/solver-context.js';
import { syntheticGram } from '../../test/reference/gram.js';
import { normals } from '../../test/reference/random.js';
import { energyReference } from '../../test/reference/solvers.js';
import { findGrid } from '../grid/index.js';
import { fromPanel, toPanel } from '../kernels/panel.js';
import type { Matrix } from '../types.js';
import { findSolver, solvers } from './index.js';
import { layerEnergy, layerError } from './layer-error.js';

const double = ({ data }: Matrix) => Float64Array.from(data);

function solve(name: string, weight: Matrix, gram: Matrix | undefined, type: string, options = {}) {
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, weight);
    const moments = gram && { gram, tokens: 1 };
    const context = { kernels, arena, gemm };
    const solution = await findSolver(name).solve(context, panel, moments, findGrid(type), options);
    const { bytes, encoded } = solution;
    const relativeError = await layerError(context, gram, panel, encoded.values);
    const values = (await fromPanel(kernels, { ...panel, data: encoded.values })).data;
    return { relativeError, bytes, values, codes: encoded.codes?.slice() };
  });
}

describe('rounding to nearest', () => {
  test('plain numbers have no scales that a range could give', async () => {
    const weight = { rows: 2, cols: 8, data: normals(16, 3) };
    const { values } = await solve('rtn', weight, undefined, 'f32', { scales: 'range' });
    expect(values).toEqual(weight.data);
  });

  test.each([
    [1, 32],
    [7, 96],
    [33, 1088],
  ])('reports tr(Δ H Δᵀ) / tr(W H Wᵀ) for %i × %i', async (rows, cols) => {
    const weight = { rows, cols, data: normals(rows * cols, 1) };
    const gram = await syntheticGram(gemm, cols, 2);
    const { relativeError, bytes, values } = await solve('rtn', weight, gram, 'q4_0');
    const difference = double(weight).map((value, i) => value - (values[i] ?? Number.NaN));
    const loss = energyReference(difference, rows, double(gram));
    const expected = loss / energyReference(double(weight), rows, double(gram));
    expect(relativeError / expected).toBeCloseTo(1, 4);
    expect(bytes).toBe((rows * cols * 18) / 32);
  });

  test('without moments all inputs count alike, for every solver of scalar grids', async () => {
    const weight = { rows: 6, cols: 64, data: normals(6 * 64, 3) };
    const { relativeError, values, codes } = await solve('rtn', weight, undefined, 'q4_0');
    const squares = (x: Float32Array) => x.reduce((sum, value) => sum + value * value, 0);
    const difference = weight.data.map((value, i) => value - (values[i] ?? Number.NaN));
    expect(relativeError / (squares(difference) / squares(weight.data))).toBeCloseTo(1, 4);
    for (const { name } of solvers.filter(({ name }) => !['vptq', 'outliers', 'nested'].includes(name))) {
      expect((await solve(name, weight, undefined, 'q4_0')).codes).toEqual(codes);
    }
  });

  test.each([1e-33, 1e35])('energies do not overflow when inputs are × %f', async (unit) => {
    const weight = { rows: 4, cols: 64, data: normals(4 * 64, 4) };
    const gram = await syntheticGram(gemm, 64, 5, { outliers: 0 });
    const scaled = { ...gram, data: gram.data.map((value) => value * unit) };
    const energy = await kernels.scope(async (arena) =>
      layerEnergy({ kernels, arena, gemm }, scaled, await toPanel(kernels, arena, weight)),
    );
    expect(energy / (unit * energyReference(double(weight), 4, double(gram)))).toBeCloseTo(1, 4);
  });
});

describe('the table of solvers', () => {
  test('names are unique and every option has a default and a description', () => {
    expect(new Set(solvers.map(({ name }) => name)).size).toBe(solvers.length);
    for (const { options } of solvers) {
      expect(Object.keys(options.parse({}))).toEqual(Object.keys(options.shape));
      for (const option of Object.values(options.shape)) expect(option.meta()?.description).toBeTruthy();
    }
  });

  test('an unknown solver or option is an error that names the choices', async () => {
    expect(() => findSolver('gtpq')).toThrow(
      'there is no solver gtpq; did you mean gptq? choose one of rtn, gptq',
    );
    const weight = { rows: 1, cols: 32, data: normals(32, 6) };
    const gram = await syntheticGram(gemm, 32, 7);
    await expect(solve('gptq', weight, gram, 'q4_0', { dampening: 1 })).rejects.toThrow(
      /gptq has no option dampening; .*gptq has damping, order/,
    );
    await expect(solve('gptq', weight, gram, 'q4_0', { damping: -1 })).rejects.toThrow(
      /option damping of gptq/,
    );
    await expect(solve('gptq', weight, gram, 'q4_0', { order: 'random' })).rejects.toThrow(
      /option order of gptq/,
    );
  });
});
