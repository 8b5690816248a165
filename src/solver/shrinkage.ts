import type { Matrix, Moments } from '../types.js';
import { factorDamped, solveRows } from './cholesky.js';
import { activationOrder } from './order.js';
import type { SolverContext } from './solver.js';

/** Shrinkages that are tried; what lies between two of them is within 1 % of the better one. */
export const shrinkages: readonly number[] = [0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9];
/** What solvers add to the diagonal beside it. */
const damping = 0.01;
const blockSize = 256;

/**
 * The shrinkage λ of H (calibration/shrinkage.ts) under which error feedback leaves the least on tokens that H has not
 * seen, in expectation over rounding errors, so that no weight has to be solved. 0 without such tokens.
 *
 * The loss over λ has one minimum: from the number of tokens per input, which tells about where it is, the search goes
 * down on `shrinkages` as far as it gets.
 */
export async function chooseShrinkage(
  context: Omit<SolverContext, 'arena'>,
  { gram, heldOut, tokens }: Moments,
): Promise<number> {
  if (!heldOut || heldOut.own.rows === 0) return 0;
  const inputs = heldOut.own;
  const known = new Map<number, number>();
  const loss = async (index: number): Promise<number> => {
    const shrinkage = shrinkages[index];
    if (shrinkage === undefined) return Number.POSITIVE_INFINITY;
    const found = known.get(index) ?? (await feedbackLoss(context, gram, inputs, shrinkage));
    known.set(index, found);
    return found;
  };
  const guess = gram.cols / (gram.cols + 2 * tokens);
  let at = shrinkages.reduce(
    (best, value, index) =>
      Math.abs(value - guess) < Math.abs((shrinkages[best] ?? 0) - guess) ? index : best,
    0,
  );
  for (const step of [1, -1]) {
    while ((await loss(at + step)) < (await loss(at))) at += step;
  }
  return shrinkages[at] ?? 0;
}

/**
 * Expected loss of GPTQ on inputs x that its H has not seen, per row of a weight whose rounding errors e are independent
 * with variance 1. With H = L·Lᵀ in the order of processing, the errors of the weights are Δ = e diag(L) L⁻¹
 * (solver/gptq.ts), so that
 *
 *   E[Δ x xᵀ Δᵀ] = Σ_j L_jj² E[(L⁻¹ x)_j²]:
 *
 * what is left of every input when those that come after it make up for it by a regression that was fitted to H.
 * Without feedback it is E[xᵀ x].
 * @param shrinkage λ; H is taken as (1 − λ) H + λ diag H
 */
export function feedbackLoss(
  context: Omit<SolverContext, 'arena'>,
  gram: Matrix,
  inputs: Matrix,
  shrinkage: number,
): Promise<number> {
  return context.kernels.scope(async (arena) => {
    const order = activationOrder(arena, gram);
    // In units of 1 − λ, which the feedback does not depend on.
    const kept = 1 - shrinkage;
    const factor = await factorDamped(context, gram, order, damping / kept, blockSize, shrinkage / kept);
    const rows = orderedBlocks(inputs, order);
    await solveRows(context, factor, rows);
    let sum = 0;
    for (const [b, column] of factor.columns.entries()) {
      const solved = rows[b] as Float32Array;
      const width = solved.length / inputs.rows;
      for (const [j, energy] of squaresByColumn(solved, width).entries())
        sum += (column[j * (width + 1)] ?? 0) ** 2 * energy;
    }
    return sum / inputs.rows;
  });
}

/** Columns of a matrix in a new order, in blocks: each rows × width. */
function orderedBlocks({ rows, cols, data }: Matrix, order: Int32Array): Float32Array[] {
  return Array.from({ length: Math.ceil(cols / blockSize) }, (_, b) => {
    const columns = order.subarray(b * blockSize, (b + 1) * blockSize);
    const block = new Float32Array(rows * columns.length);
    for (let row = 0; row < rows; row++)
      for (let c = 0; c < columns.length; c++)
        block[row * columns.length + c] = data[row * cols + (columns[c] ?? 0)] ?? 0;
    return block;
  });
}

function squaresByColumn(data: Float32Array, width: number): Float64Array {
  const sums = new Float64Array(width);
  for (let from = 0; from < data.length; from += width)
    for (let c = 0; c < width; c++) sums[c] = (sums[c] ?? 0) + (data[from + c] ?? 0) ** 2;
  return sums;
}
