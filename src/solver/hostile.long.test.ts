import { expect, test } from 'vitest';
import { gemm, kernels } from '../../test/fixtures/solver-context.js';
import { normals } from '../../test/reference/random.js';
import { findGrid } from '../grid/index.js';
import { toPanel } from '../kernels/panel.js';
import type { Matrix } from '../types.js';
import { findSolver } from './index.js';
import { layerError } from './layer-error.js';

const [rows, cols] = [6, 256];
const seed = 11;

/** XᵀX / tokens for inputs given token by token. */
function gram(tokens: number, input: (token: number, col: number) => number): Matrix {
  const data = new Float32Array(cols * cols);
  for (let token = 0; token < tokens; token++) {
    const x = Float64Array.from({ length: cols }, (_, col) => input(token, col));
    for (let a = 0; a < cols; a++) {
      for (let b = 0; b < cols; b++)
        data[a * cols + b] = (data[a * cols + b] ?? 0) + ((x[a] ?? 0) * (x[b] ?? 0)) / tokens;
    }
  }
  return { rows: cols, cols, data };
}

const inputs = normals(32 * cols, seed);
const input = (token: number, col: number) => inputs[token * cols + col] ?? 0;
const noise = normals(rows * cols, seed + 1);
const weights = (value: (row: number, col: number) => number): Float32Array =>
  Float32Array.from({ length: rows * cols }, (_, at) => value(Math.floor(at / cols), at % cols));
const plain = weights((row, col) => noise[row * cols + col] ?? 0);

/** Second moments that real calibration produces when little text, dead units or outlier channels meet. */
const moments = {
  'of full enough rank': gram(32, input),
  'of rank one': gram(1, input),
  'of zeros': gram(1, () => 0),
  'with dead inputs': gram(32, (token, col) => (col % 3 ? 0 : input(token, col))),
  'of huge inputs': gram(32, (token, col) => 1e15 * input(token, col)),
  'of tiny inputs': gram(32, (token, col) => 1e-18 * input(token, col)),
  'with one outlier channel': gram(32, (token, col) => (col === 7 ? 1e6 : 1) * input(token, col)),
  'of equal inputs': gram(32, (token) => input(token, 0)),
};

const layers = {
  plain,
  'with constant rows': weights((row, col) => (row % 2 ? 0.25 : (noise[col] ?? 0))),
  'of zeros': weights(() => 0),
  denormal: weights((row, col) => 1e-40 * (noise[row * cols + col] ?? 0)),
  'beyond what halves can scale': weights((row, col) => 1e7 * (noise[row * cols + col] ?? 0)),
  'with one huge weight': weights((row, col) => (col === 9 ? 3e4 : (noise[row * cols + col] ?? 0))),
};

const solved = [
  ...['q4_0', 'q5_1', 'q8_0', 'iq4_nl', 'q2_k', 'q3_k', 'q4_k', 'q6_k', 'int3-g64', 'int2-g32-asym'].flatMap(
    (type) => ['rtn', 'gptq', 'quantease', 'decoupleq'].map((solver) => ({ type, solver })),
  ),
  { type: 'q4_0', solver: 'greedy' },
  { type: 'int3-g64-s1', solver: 'outliers' },
];

async function solve(type: string, solver: string, data: Float32Array, second: Matrix) {
  const grid = findGrid(type);
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, { rows, cols, data });
    const context = { kernels, arena, gemm };
    const solution = await findSolver(solver).solve(context, panel, { gram: second, tokens: 32 }, grid);
    const bytes = await grid.pack(kernels, solution.encoded);
    const stored = await grid.unpack(kernels, arena, bytes, rows, cols);
    return {
      error: await layerError(context, second, panel, solution.encoded.values),
      stored: stored.values.filter((_, at) => at % stored.stride < rows),
    };
  });
}

test.each(solved)(
  `$solver on $type: finite, whatever the moments and weights (seed ${seed})`,
  async ({ type, solver }) => {
    for (const [moment, second] of Object.entries(moments)) {
      for (const [layer, data] of Object.entries(layers)) {
        const { error, stored } = await solve(type, solver, data, second);
        const what = `weights ${layer}, moments ${moment}`;
        expect(stored.every(Number.isFinite), what).toBe(true);
        expect(error, what).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(error), what).toBe(true);
      }
    }
  },
);
