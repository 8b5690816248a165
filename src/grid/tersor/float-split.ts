import type { Kernels } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import { roundingErrors } from '../fit/rounding-errors.js';
import type { Grid } from '../grid.js';
import { findFloatGrid } from './float.js';

/** What one way to divide the bits of a float costs. */
export interface FloatSplit {
  readonly grid: Grid;
  /** Σ importance · (w − ŵ)² over the tensor. */
  readonly error: number;
}

/**
 * Every split of `bits` into a sign, exponent and mantissa, the one with the smallest error first (FLIQS, Dotzel et
 * al., 2023, searches formats in this way; ZeroQuant-FP, Wu et al., 2023, table 2).
 * @param suffix of the types' names: how scales are shared and stored (`-channel`, `-g64-pow2`…)
 * @param importance one weight per column, in the kernels' memory
 */
export async function rankFloatSplits(
  kernels: Kernels,
  weight: Panel,
  importance: Float32Array,
  bits: number,
  suffix = '',
): Promise<readonly FloatSplit[]> {
  const splits: FloatSplit[] = [];
  for (let exponentBits = 1; exponentBits < bits; exponentBits++) {
    const grid = findFloatGrid(`fp${bits}-e${exponentBits}m${bits - 1 - exponentBits}${suffix}`);
    if (!grid) continue;
    const error = await kernels.scope(async (arena) => {
      const parameters = grid.allocate(arena, weight.rows, weight.cols);
      await grid.fit(kernels, weight, importance, parameters, 0);
      const errors = await roundingErrors(kernels, arena, grid, weight, importance, parameters);
      return errors.reduce((sum, error) => sum + error, 0);
    });
    splits.push({ grid, error });
  }
  return splits.sort((a, b) => a.error - b.error);
}
