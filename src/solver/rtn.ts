import { levelRecord } from '../grid/levels.js';
import { importanceOf } from './importance.js';
import { layerError } from './layer-error.js';
import { allocateEncoded } from './solution.js';
import type { Solver } from './solver.js';

/**
 * Round to nearest: scales that minimise Σ H_jj (w_j − ŵ_j)², then the nearest value for every weight by itself.
 */
export const rtn: Solver<object> = async (bench, weight, moments, grid) => {
  const { kernels } = bench;
  const { cols, stride } = weight;
  const encoded = allocateEncoded(bench.arena, weight, grid);
  const { parameters, codes, values } = encoded;
  await kernels.scope(async (arena) => {
    await grid.fit(kernels, weight, importanceOf(arena, cols, moments), parameters, 0);
    const levels = levelRecord(arena, grid.levels);
    const groupSize = Math.min(grid.groupSize, cols);
    const { scale, offset } = parameters;
    const args = [weight.data, stride, cols, groupSize, scale, offset, levels, codes ?? 0, values];
    kernels.parallel('roundColumns', stride, ...args);
  });
  const relativeError = await layerError(bench, moments?.gram, weight, values);
  return { encoded, relativeError, bytes: grid.bytes(weight.rows, cols) };
};
