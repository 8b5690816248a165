import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import { outputFisher } from '../../gradients/fisher.js';
import * as g from '../../graph/build.js';
import { compile } from '../../graph/program.js';
import type { Grid } from '../../grid/grid.js';
import { isRowMixGrid, joinRows, type RowMixGrid } from '../../grid/tersor/row-mix.js';
import { required } from '../../required.js';
import type { Moments } from '../../types.js';
import type { Context } from '../context/context.js';
import { type Packed, unpackTensor } from './packed.js';
import { slabRows } from './slab.js';

/** What an error of each row of a tensor costs, of those that have rows of two precisions. */
export type RowImportance = ReadonlyMap<TensorSpec, Float32Array>;

/** Tokens that gradients are taken of. */
const gradientTokens = 4096;

/** Importances of rows where one of these grids needs them; of encoders, which have no next token, there are none. */
export async function rowImportance(
  context: Context,
  model: Model,
  grids: readonly Grid[],
  sequences: readonly Int32Array[],
): Promise<RowImportance> {
  const isEncoder = model.architecture.objective === 'embedding';
  if (isEncoder || !grids.some(isRowMixGrid)) return new Map();
  const count = Math.max(1, Math.floor(gradientTokens / (sequences[0]?.length ?? 1)));
  return context.stopwatch.time('calibrate', () =>
    outputFisher(model, sequences.slice(0, count), sequences, context),
  );
}

/** Compresses some rows of a tensor. */
type Solve = (spec: TensorSpec, grid: Grid, weight: Float32Array) => Promise<Packed>;

/**
 * Rows at two precisions (MixLLM: Zheng et al., 2024, arXiv:2412.14590): all rows get few bits; those whose errors then
 * cost the model most, by importance × Δ_r H Δ_rᵀ, get eight. Rows do not depend on each other.
 */
export async function compressRows(
  context: Context,
  { spec, grid }: { readonly spec: TensorSpec; readonly grid: RowMixGrid },
  weight: Float32Array,
  moments: Moments | undefined,
  importance: Float32Array | undefined,
  solve: Solve,
): Promise<Packed> {
  const [rows, cols] = matrixShape(spec);
  const low = await solve(spec, grid.low, weight);
  const decoded = await unpackTensor(context.kernels, { spec, grid: grid.low }, low.bytes);
  const lost = await rowErrors(context, spec, weight, decoded, moments);
  const chosen = highest(
    lost.map((error, row) => error * (importance?.[row] ?? 1)),
    grid.room(rows),
  );
  const part = new Float32Array(chosen.length * cols);
  for (const [i, row] of chosen.entries()) part.set(weight.subarray(row * cols, (row + 1) * cols), i * cols);
  const partSpec = { ...spec, shape: [chosen.length, cols] };
  const high = await solve(partSpec, grid.high, part);

  const better = await unpackTensor(context.kernels, { spec: partSpec, grid: grid.high }, high.bytes);
  for (const [i, row] of chosen.entries()) {
    decoded.set(better.subarray(i * cols, (i + 1) * cols), row * cols);
  }
  const left = await rowErrors(context, spec, weight, decoded, moments);
  const before = sum(lost);
  return {
    bytes: joinRows(grid, rows, cols, chosen, low.bytes, high.bytes),
    relativeError: before > 0 ? (low.relativeError * sum(left)) / before : 0,
  };
}

/** Δ_r H Δ_rᵀ of every row, Δ = W − Ŵ; without moments H = I. */
async function rowErrors(
  context: Context,
  spec: TensorSpec,
  weight: Float32Array,
  decoded: Float32Array,
  moments: Moments | undefined,
): Promise<Float32Array> {
  const [rows, cols] = matrixShape(spec);
  const errors = new Float32Array(rows);
  const gram = moments?.gram.data;
  const height = Math.min(rows, slabRows(cols));
  for (let from = 0; from < rows; from += height) {
    const to = Math.min(rows, from + height);
    const difference = g.sub(g.input('weight', [to - from, cols]), g.input('decoded', [to - from, cols]));
    const felt = gram ? g.matmul(difference, g.input('gram', [cols, cols])) : difference;
    const program = await compile({ errors: g.sum(g.mul(difference, felt), -1) }, context);
    const results = await program.run({
      weight: weight.subarray(from * cols, to * cols),
      decoded: decoded.subarray(from * cols, to * cols),
      ...(gram ? { gram } : {}),
    });
    await program.release();
    errors.set(required(results, 'errors'), from);
  }
  return errors;
}

/** Indices of the largest values, ascending; of equals the first. */
function highest(values: Float32Array, count: number): number[] {
  const order = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0) || a - b);
  return order.slice(0, count).sort((a, b) => a - b);
}

const sum = (values: Float32Array): number => values.reduce((total, value) => total + value, 0);
