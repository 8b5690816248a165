import { withRangeScales } from '../grid/fit-range.js';
import { roundPanel } from '../grid/round.js';
import { importanceOf } from './importance.js';
import { layerError } from './layer-error.js';
import { allocateEncoded } from './solution.js';
import type { Solver } from './solver.js';

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
export const rtn: Solver<RtnOptions> = async (bench, weight, moments, grid, options = {}) => {
  const { importance, scales } = { ...rtnDefaults, ...options };
  const { kernels } = bench;
  const encoded = allocateEncoded(bench.arena, weight, grid);
  const { parameters, values } = encoded;
  await kernels.scope(async (arena) => {
    const known = importance === 'activation' ? moments : undefined;
    const fitted = scales === 'range' ? withRangeScales(grid) : grid;
    await fitted.fit(kernels, weight, importanceOf(arena, weight.cols, known), parameters, 0);
    await roundPanel(kernels, weight, grid, parameters, encoded);
  });
  const relativeError = await layerError(bench, moments?.gram, weight, values);
  return { encoded, relativeError, bytes: grid.bytes(weight.rows, weight.cols) };
};
