import { matrixShape } from '../architecture/architecture.js';
import type { Grid } from '../grid/grid.js';
import { isOutlierGrid } from '../grid/outliers.js';
import { isVectorGrid } from '../grid/vector.js';
import { fromPanel, toPanel } from '../kernels/panel.js';
import { findSolver } from '../solver/index.js';
import { rtnWeighted } from '../solver/rtn.js';
import type { Moments } from '../types.js';
import type { Assignment } from './plan.js';
import type { Recipe } from './recipe.js';
import type { Workshop } from './workshop.js';

/** How tensors are solved. */
export type TensorRecipe = Pick<Recipe, 'solver' | 'options'>;

interface Compressed {
  /** Values as the runtime will decode them, in the programs' shape and order. */
  readonly decoded: Float32Array;
  /** Packed rows. */
  readonly bytes: Uint8Array;
  readonly relativeError: number;
}

// Rows of an embedding or head are independent: a slab at a time keeps the kernels' memory small.
const slabElements = 1 << 25;

/** Rows of a table that are worked on at a time. */
export const slabRows = (cols: number): number => Math.max(1, Math.floor(slabElements / cols));

/**
 * One tensor onto its grid. Without moments every input counts the same, or as much as `diagonal` says, and rounding is
 * the best there is.
 * @param diagonal of the moments, where no more is known of them
 */
export async function compressTensor(
  shop: Workshop,
  { spec, grid }: Pick<Assignment, 'spec' | 'grid'>,
  weight: Float32Array,
  moments: Moments | undefined,
  recipe: TensorRecipe,
  diagonal?: Float32Array,
): Promise<Compressed> {
  const [rows, cols] = matrixShape(spec);
  const solver = solverFor(grid, moments, recipe);
  const { solve } = findSolver(solver);
  const options = solver === recipe.solver ? recipe.options : {};
  const together = (moments && spec.kind === 'linear') || grid.whole || isVectorGrid(grid);
  const slab = together ? rows : slabRows(cols);
  const decoded = new Float32Array(rows * cols);
  const bytes = new Uint8Array(grid.bytes(rows, cols));
  let error = 0;
  for (let from = 0; from < rows; from += slab) {
    const count = Math.min(slab, rows - from);
    const data = weight.subarray(from * cols, (from + count) * cols);
    await shop.kernels.scope(async (arena) => {
      const panel = await toPanel(shop.kernels, arena, { rows: count, cols, data });
      const bench = { ...shop, arena };
      const solution = diagonal
        ? await rtnWeighted(bench, panel, diagonal, grid)
        : await solve(bench, panel, moments, grid, options);
      const { encoded } = solution;
      await fromPanel(
        shop.kernels,
        { rows: count, cols, stride: encoded.stride, data: encoded.values },
        decoded.subarray(from * cols, (from + count) * cols),
      );
      const packed = await shop.stopwatch.time('write', () => grid.pack(shop.kernels, encoded));
      bytes.set(packed, from === 0 ? 0 : grid.bytes(from, cols));
      error += (solution.relativeError * count) / rows;
    });
  }
  return {
    decoded,
    bytes,
    relativeError: error,
  };
}

/** Vector codebooks and outliers have solvers of their own, which work under full second moments. */
export function ownSolver(grid: Grid): string | undefined {
  if (isVectorGrid(grid)) return 'vptq';
  return isOutlierGrid(grid) ? 'outliers' : undefined;
}

/** Without moments there is nothing for any other solver to gain. */
const solverFor = (grid: Grid, moments: Moments | undefined, recipe: TensorRecipe): string =>
  ownSolver(grid) ?? (moments ? recipe.solver : 'rtn');
