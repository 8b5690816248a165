import { TersorError } from '../errors.js';
import type { Encoded } from '../grid/grid.js';
import { findGrid } from '../grid/index.js';
import { roundPanel } from '../grid/round.js';
import { nestedBitsOf, nestedLines, nestedPart, precisions } from '../grid/tersor/nested.js';
import type { NestedBits } from '../grid/tersor/nested-levels.js';
import type { Arena } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';
import { meanDiagonal } from './cholesky.js';
import { type DampedMoment, refitRows } from './descent/refit.js';
import { wellScaled } from './descent/sweeps.js';
import { layerError, total } from './layer-error.js';
import { rtn } from './rtn.js';
import type { Solver, SolverContext } from './solver.js';

export interface NestedOptions {
  /** Widths of a row's cells that are tried. */
  readonly trials: number;
  /** How far they lie apart, as a share. */
  readonly step: number;
  /** Added to the diagonal of H, in units of its mean, where scales and offsets are fitted. */
  readonly damping: number;
}

export const nestedDefaults: NestedOptions = { trials: 25, step: 0.02, damping: 0.01 };

/** What one choice of cells makes of every row, for one precision. */
interface Outcome {
  readonly bits: NestedBits;
  readonly losses: Float64Array;
  readonly scale: Float32Array;
  readonly offset: Float32Array;
}

/** One choice of cells. */
interface Trial {
  readonly cells: Float32Array;
  readonly outcomes: readonly Outcome[];
}

/** Rounds in which the weights of the precisions settle. */
const balancing = 40;
/** Columns of H·Δ in the kernels' memory at a time. */
const blockSize = 512;

/**
 * Nested bits (after Double Rounding, Huang et al., 2025) under the full H. Codes of all precisions follow from a row's
 * cells, so these are what is chosen: for each width that is tried every precision gets the scale and offset of least
 * loss (decoupleQ's row systems), and rows take the width with the least Σ_b λ_b · loss_b. The λ make the worst of the
 * precisions good: they grow where the layer's loss is large beside that of plain rounding to as many bits.
 * @throws TersorError for other grids, and for a second moment that is not finite
 */
export const nested: Solver<NestedOptions> = async (context, weight, moments, grid, options = {}) => {
  const bits = nestedBitsOf(grid);
  if (bits === undefined)
    throw new TersorError(`the solver nested is for nested bits and type ${grid.name} has none`, {
      remedy: 'choose a type such as nested8, or the solver decoupleq',
    });
  const plan = { ...nestedDefaults, ...options };
  const start = await rtn(context, weight, moments, grid);
  if (!moments) return start;
  const { gram } = moments;
  const { encoded } = start;
  const { kernels } = context;
  const direct: number[] = [];
  for (const each of precisions(bits)) {
    const error = kernels.scope(async (arena) => {
      const inner = { ...context, arena };
      const rounded = await rtn(inner, weight, moments, findGrid(`int${each}-channel`));
      return layerError(inner, gram, weight, rounded.encoded.values);
    });
    direct.push(await error);
  }
  const fitted = encoded.parameters.scale.slice();
  const trials: Trial[] = [];
  const { hessian, unit } = wellScaled(gram);
  const moment = { hessian, damping: (plan.damping * meanDiagonal(gram)) / unit };
  for (let k = 0; k < plan.trials; k++) {
    const width = (1 + plan.step) ** (k - Math.floor(plan.trials / 2));
    trials.push(await tryCells(context, weight, moment, encoded, fitted, width));
  }
  const chosen = balance(trials, direct, weight.rows);
  const { parameters } = encoded;
  for (const [row, index] of chosen.entries()) parameters.scale[row] = trials[index]?.cells[row] ?? 0;
  parameters.offset.fill(0);
  await roundPanel(kernels, weight, grid, parameters, encoded);
  for (const [row, index] of chosen.entries())
    for (const { bits: each, scale, offset } of trials[index]?.outcomes ?? []) {
      const lines = nestedLines(parameters, each);
      lines.scale[row] = scale[row] ?? 0;
      lines.offset[row] = offset[row] ?? 0;
    }
  await kernels.scope(async (arena) => {
    encoded.values.set((await nestedPart(kernels, arena, encoded, bits)).values);
  });
  return start;
};

/** Codes for cells so many times as wide as fitted ones, and what every precision makes of them. */
async function tryCells(
  context: SolverContext,
  weight: Panel,
  moment: DampedMoment,
  encoded: Encoded,
  fitted: Float32Array,
  width: number,
): Promise<Trial> {
  const { kernels } = context;
  const { stride } = weight;
  const { grid, parameters } = encoded;
  return kernels.scope(async (arena) => {
    const cells = arena.f32(stride);
    cells.set(fitted.map((scale) => scale * width));
    const halves = arena.u16(stride);
    kernels.parallel('castToF16', stride, { from: cells, to: halves });
    kernels.parallel('convertF16', stride, { from: halves, to: cells });
    parameters.scale.set(cells);
    parameters.offset.fill(0);
    await roundPanel(kernels, weight, grid, parameters, encoded);
    const outcomes: Outcome[] = [];
    for (const bits of precisions(nestedBitsOf(grid) ?? 2)) {
      const lines = nestedLines(parameters, bits);
      lines.scale.set(cells);
      lines.offset.fill(0);
      outcomes.push(
        await kernels.scope(async (inner) => {
          const part = await nestedPart(kernels, inner, encoded, bits);
          const affine = { ...part.grid, scale: { kind: 'direct', type: 'f16', offset: true } as const };
          const gained = inner.f64(stride);
          const delta = difference(context, inner, weight, part);
          await refitRows(context, weight, moment, { ...part, grid: affine }, delta, gained);
          const left = difference(context, inner, weight, part);
          const losses = await rowLosses(context, inner, moment.hessian, weight, left);
          const { scale, offset } = part.parameters;
          return { bits, losses, scale: scale.slice(), offset: offset.slice() };
        }),
      );
    }
    return { cells: cells.slice(), outcomes };
  });
}

/** Δ = W − Ŵ outside the kernels' memory, cols × stride. */
function difference(
  { kernels }: SolverContext,
  arena: Arena,
  weight: Panel,
  { values }: Encoded,
): Float32Array {
  const { cols, stride } = weight;
  const delta = arena.f32(cols * stride);
  kernels.parallel('subtractPanels', stride, {
    cols,
    stride,
    x: weight.data,
    y: values,
    difference: delta,
  });
  return delta.slice();
}

/** Δ H Δᵀ of every row. */
async function rowLosses(
  { kernels, gemm }: SolverContext,
  arena: Arena,
  hessian: Float32Array,
  { rows, cols, stride }: Panel,
  delta: Float32Array,
): Promise<Float64Array> {
  const sums = arena.f64(stride);
  const width = Math.min(blockSize, cols);
  const [own, product] = [arena.f32(width * stride), arena.f32(width * stride)];
  for (let from = 0; from < cols; from += width) {
    const count = Math.min(width, cols - from);
    const square = { data: hessian.subarray(from * cols, (from + count) * cols), shape: [count, cols] };
    product.set(await gemm(square, { data: delta, shape: [cols, stride] }));
    own.set(delta.subarray(from * stride, (from + count) * stride));
    kernels.parallel('addRowProducts', stride, { cols: count, stride, x: own, y: product, sums });
  }
  return sums.slice(0, rows);
}

/**
 * The trial of every row with the least weighted sum of losses, under weights for which the largest of the layer's
 * losses, each in units of `direct`, is small.
 */
export function balance(trials: readonly Trial[], direct: readonly number[], rows: number): Uint32Array {
  let weights = direct.map((error) => 1 / Math.max(error, Number.MIN_VALUE));
  let best = { worst: Number.POSITIVE_INFINITY, chosen: new Uint32Array(rows) };
  for (let round = 0; round < balancing; round++) {
    const chosen = Uint32Array.from({ length: rows }, (_, row) => cheapest(trials, weights, row));
    const losses = direct.map((_, b) =>
      total(
        Float64Array.from(chosen, (index, row) => trials[index]?.outcomes[b]?.losses[row] ?? 0),
        rows,
      ),
    );
    const ratios = losses.map((loss, b) => loss / Math.max(direct[b] ?? 0, Number.MIN_VALUE));
    const worst = Math.max(...ratios);
    if (worst < best.worst) best = { worst, chosen };
    if (!(worst > 0)) break;
    weights = weights.map((weight, b) => weight * ((ratios[b] ?? 0) / worst || 1));
  }
  return best.chosen;
}

/** The first trial with the least weighted sum of a row's losses. */
function cheapest(trials: readonly Trial[], weights: readonly number[], row: number): number {
  let best = { cost: Number.POSITIVE_INFINITY, index: 0 };
  for (const [index, { outcomes }] of trials.entries()) {
    const cost = outcomes.reduce((sum, { losses }, b) => sum + (weights[b] ?? 0) * (losses[row] ?? 0), 0);
    if (cost < best.cost) best = { cost, index };
  }
  return best.index;
}
