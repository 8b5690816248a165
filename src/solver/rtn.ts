import { withRangeScales } from '../grid/fit/range.js';
import { type Encoded, type Grid, isCoded } from '../grid/grid.js';
import { roundPanel } from '../grid/round.js';
import type { Arena } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';
import { importanceOf } from './importance.js';
import { allocateEncoded } from './solution.js';
import type { Solution, Solver, SolverContext } from './solver.js';

export interface RtnOptions {
  /** What scales are fitted for: columns by the energy of their inputs (diag H), or all alike ("plain rounding"). */
  readonly importance: 'activation' | 'uniform';
  /** Scales that minimise the error weighted by importance, or from the smallest and largest weight. */
  readonly scales: 'fitted' | 'range';
}

export const rtnDefaults: RtnOptions = { importance: 'activation', scales: 'fitted' };

/**
 * Round to nearest: scales that minimise Σ H_jj (w_j − ŵ_j)², then the nearest value for every weight by itself.
 */
export const rtn: Solver<RtnOptions> = async (context, weight, moments, grid, options = {}) => {
  const { importance, scales } = { ...rtnDefaults, ...options };
  const known = importance === 'activation' ? moments : undefined;
  // Plain numbers, as norms are stored, have no scales.
  const fit = scales === 'range' && isCoded(grid) ? withRangeScales(grid).fit : grid.fit;
  const encoded = await round(context, weight, grid, fit, (arena) => importanceOf(arena, weight.cols, known));
  return { encoded, bytes: grid.bytes(weight.rows, weight.cols) };
};

/**
 * The same where of the second moment only the diagonal is known, from an importance matrix.
 * @param diagonal mean square of every input column
 */
export async function rtnWeighted(
  context: SolverContext,
  weight: Panel,
  diagonal: Float32Array,
  grid: Grid,
): Promise<Solution> {
  const energies = (arena: Arena) => {
    const importance = arena.f32(weight.cols);
    importance.set(diagonal);
    return importance;
  };
  const encoded = await round(context, weight, grid, grid.fit, energies);
  return { encoded, bytes: grid.bytes(weight.rows, weight.cols) };
}

/** Fits scales, then takes the nearest value for every weight by itself. */
async function round(
  { kernels, arena: results }: SolverContext,
  weight: Panel,
  grid: Grid,
  scales: Grid['fit'],
  importance: (arena: Arena) => Float32Array,
): Promise<Encoded> {
  const encoded = allocateEncoded(results, weight, grid);
  const { parameters } = encoded;
  await kernels.scope(async (arena) => {
    await scales(kernels, weight, importance(arena), parameters, 0);
    await roundPanel(kernels, weight, grid, parameters, encoded);
  });
  return encoded;
}
