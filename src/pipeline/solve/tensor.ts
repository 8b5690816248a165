import { matrixShape } from '../../architecture/architecture.js';
import type { Rows } from '../../architecture/forward.js';
import type { Grid } from '../../grid/grid.js';
import { isRowMixGrid } from '../../grid/tersor/row-mix.js';
import { toPanel } from '../../kernels/panel.js';
import { collectGarbage } from '../../runtime/garbage.js';
import { findSolver } from '../../solver/index.js';
import { rtnWeighted } from '../../solver/rtn.js';
import type { Moments } from '../../types.js';
import type { Context } from '../context/context.js';
import type { Assignment } from '../prepare/plan.js';
import type { Recipe } from '../prepare/recipe.js';
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
  /** How much each row matters, where the grid has rows of two precisions. */
  readonly rows?: Float32Array | undefined;
}

/** One tensor onto its grid. Without moments every input counts the same and rounding is the best there is. */
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
  const solver = solverFor(grid, moments, recipe);
  const { solve } = findSolver(solver);
  const options = solver === recipe.solver ? recipe.options : {};
  // Rows do not depend on each other, given H: a part at a time keeps the kernels' memory small.
  const slab = solvedRows(grid, rows, cols);
  const bytes = new Uint8Array(grid.bytes(rows, cols));
  let error = 0;
  for (let from = 0; from < rows; from += slab) {
    const count = Math.min(slab, rows - from);
    const to = from + count;
    const data =
      typeof weight === 'function' ? await weight(from, to) : weight.subarray(from * cols, to * cols);
    await context.kernels.scope(async (arena) => {
      const panel = await toPanel(context.kernels, arena, { rows: count, cols, data });
      const solving = { ...context, arena };
      const solution = weighting.inputs
        ? await rtnWeighted(solving, panel, weighting.inputs, grid)
        : await solve(solving, panel, moments, grid, options);
      const { encoded } = solution;
      const packed = await context.stopwatch.time('write', () => grid.pack(context.kernels, encoded));
      bytes.set(packed, from === 0 ? 0 : grid.bytes(from, cols));
      error += (solution.relativeError * count) / rows;
    });
    collectGarbage(4 * count * cols);
  }
  return { bytes, relativeError: error };
}

/** Without moments there is nothing for any other solver to gain. */
const solverFor = (grid: Grid, moments: Moments | undefined, recipe: TensorRecipe): string =>
  grid.solver ?? (moments ? recipe.solver : 'rtn');
