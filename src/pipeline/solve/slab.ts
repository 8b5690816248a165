import type { Grid } from '../../grid/grid.js';
import { isVectorGrid } from '../../grid/vector/vector.js';

// Rows of a weight are independent, given H: a slab at a time keeps the kernels' memory small. Part of the method, as
// some solvers stop when a slab as a whole hardly gets better.
export const slabElements = 1 << 24;

/** Rows of a weight that are solved together; on a grid that all rows share, they are all. */
export const solvedRows = (grid: Grid, rows: number, cols: number): number =>
  grid.whole || isVectorGrid(grid) ? rows : Math.min(rows, slabRows(cols));

/** Rows of a weight that are worked on at a time. */
export const slabRows = (cols: number): number => Math.max(1, Math.floor(slabElements / cols));
