import { matrixShape } from '../../architecture/architecture.js';
import type { Rows } from '../../architecture/forward.js';
import { type Grid, isCoded } from '../../grid/grid.js';
import { isRowMixGrid } from '../../grid/tersor/row-mix.js';
import { type Panel, toPanel } from '../../kernels/panel.js';
import { collectGarbage } from '../../runtime/garbage.js';
import { findSolver } from '../../solver/index.js';
import { layerError, weightedError } from '../../solver/layer-error.js';
import { rtn, rtnWeighted } from '../../solver/rtn.js';
import type { Solution, SolverContext } from '../../solver/solver.js';
import type { Matrix, Moments } from '../../types.js';
import type { Context } from '../context/context.js';
import type { Assignment } from '../prepare/plan.js';
import type { Recipe } from '../prepare/recipe.js';
import { createJudge } from './judge.js';
import type { Packed } from './packed.js';
import { compressRows } from './rows.js';
import { solvedRows } from './slab.js';

/** How tensors are solved. */
export type TensorRecipe = Pick<Recipe, 'solver' | 'options' | 'shrinkage'>;

/** All of a tensor's values, or what reads some of its rows. */
export type Weight = Float32Array | Rows;

/** What is known of a tensor's inputs and outputs beside the moments. */
export interface Weighting {
  /** Diagonal of the moments, where no more is known of them: every weight is rounded by itself under it. */
  readonly inputs?: Float32Array | undefined;
  /** The weight as the checkpoint has it, where that to be compressed is another: its outputs are to be matched. */
  readonly original?: Rows | undefined;
  /** How much each row matters, where the grid has rows of two precisions. */
  readonly rows?: Float32Array | undefined;
}

/**
 * One tensor onto its grid. Without moments every input counts the same and rounding is the best there is. Where tokens
 * are held out of the moments, errors are those on them, and rows stay rounded to nearest where the solver does worse.
 */
export async function compressTensor(
  context: Context,
  { spec, grid }: Pick<Assignment, 'spec' | 'grid'>,
  weight: Weight,
  moments: Moments | undefined,
  recipe: TensorRecipe,
  weighting: Weighting = {},
): Promise<Packed> {
  if (isRowMixGrid(grid)) {
    const whole = typeof weight === 'function' ? await weight(0, matrixShape(spec)[0]) : weight;
    return compressRows(context, { spec, grid }, whole, moments, weighting.rows, (part, own, values) =>
      compressTensor(context, { spec: part, grid: own }, values, moments, recipe),
    );
  }
  const [rows, cols] = matrixShape(spec);
  // Rows do not depend on each other, given H: a part at a time keeps the kernels' memory small.
  const slab = solvedRows(grid, rows, cols);
  const bytes = new Uint8Array(grid.bytes(rows, cols));
  let [error, rounded] = [0, false];
  for (let from = 0; from < rows; from += slab) {
    const count = Math.min(slab, rows - from);
    const to = from + count;
    const target =
      typeof weight === 'function' ? await weight(from, to) : weight.subarray(from * cols, to * cols);
    const original = await weighting.original?.(from, to);
    const part = { rows: count, cols };
    const solved = await compressSlab(
      context,
      grid,
      { target: { ...part, data: target }, ...(original && { original: { ...part, data: original } }) },
      moments,
      recipe,
      weighting.inputs,
    );
    bytes.set(solved.bytes, from === 0 ? 0 : grid.bytes(from, cols));
    error += (solved.relativeError * count) / rows;
    rounded ||= solved.rounded ?? false;
    collectGarbage(4 * count * cols);
  }
  return { bytes, relativeError: error, ...(rounded && { rounded }) };
}

/** Rows of a weight that are solved together. */
interface Slab {
  readonly target: Matrix;
  /** As the checkpoint has them, where the target is another. */
  readonly original?: Matrix;
}

async function compressSlab(
  context: Context,
  grid: Grid,
  { target, original }: Slab,
  moments: Moments | undefined,
  recipe: TensorRecipe,
  inputs: Float32Array | undefined,
): Promise<Packed> {
  const { kernels, gemm, stopwatch } = context;
  const judge =
    moments?.heldOut && isCoded(grid)
      ? await createJudge(gemm, moments.heldOut, target, original)
      : undefined;
  const compressBy = (
    weight: Matrix,
    solve: (solving: SolverContext, panel: Panel) => Promise<Solution>,
    chosen?: readonly number[],
  ) =>
    kernels.scope(async (arena) => {
      const solving = { ...context, arena };
      const panel = await toPanel(kernels, arena, weight);
      const { encoded } = await solve(solving, panel);
      const error = () =>
        inputs
          ? weightedError(context, inputs, panel, encoded.values)
          : layerError(solving, moments?.gram, panel, encoded.values);
      const { losses, relativeError } = judge
        ? await judge(encoded, chosen)
        : { losses: undefined, relativeError: await error() };
      const bytes = await stopwatch.time('write', () => grid.pack(kernels, encoded));
      return { bytes, relativeError, losses };
    });
  if (inputs) {
    const { losses: _, ...rounded } = await compressBy(target, (solving, panel) =>
      rtnWeighted(solving, panel, inputs, grid),
    );
    return rounded;
  }
  const solver = solverFor(grid, moments, recipe);
  const options = solver === recipe.solver ? recipe.options : {};
  const { solve } = findSolver(solver);
  const { losses, ...solved } = await compressBy(target, (solving, panel) =>
    solve(solving, panel, moments, grid, options),
  );
  if (!losses || solver === 'rtn' || grid.solver) return solved;
  const round = (weight: Matrix, chosen?: readonly number[]) =>
    compressBy(weight, (solving, panel) => rtn(solving, panel, moments, grid), chosen);
  const plain = original ?? target;
  // Mostly a part of the rows leaves no doubt.
  const some = everySo(target.rows, grid);
  if (some) {
    const sample = await round(pickRows(plain, some), some);
    const own = some.reduce((sum, row) => sum + (losses[row] ?? 0), 0);
    if (own < clearly * total(sample.losses)) return solved;
  }
  const { losses: roundedLosses, ...rounded } = await round(plain);
  return total(roundedLosses) < total(losses) ? { ...rounded, rounded: true } : solved;
}

/** Of so many rows a sample is rounded first; the solver's loss must be this much less there to be taken without more. */
const [manyRows, oneRowIn, clearly] = [512, 8, 0.9];

/** Rows of a sample; none where there are few, or where rows are stored together. */
function everySo(rows: number, grid: Grid): number[] | undefined {
  if (rows < manyRows || grid.whole || grid.rowMultiple) return undefined;
  return Array.from({ length: Math.floor(rows / oneRowIn) }, (_, i) => i * oneRowIn);
}

function pickRows({ cols, data }: Matrix, rows: readonly number[]): Matrix {
  const picked = new Float32Array(rows.length * cols);
  for (const [at, row] of rows.entries()) picked.set(data.subarray(row * cols, (row + 1) * cols), at * cols);
  return { rows: rows.length, cols, data: picked };
}

const total = (losses: Float64Array = new Float64Array()): number =>
  losses.reduce((sum, loss) => sum + loss, 0);

/** Without moments there is nothing for any other solver to gain. */
const solverFor = (grid: Grid, moments: Moments | undefined, recipe: TensorRecipe): string =>
  grid.solver ?? (moments ? recipe.solver : 'rtn');
