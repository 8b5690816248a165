import type { Kernels } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';
import type { Encoded, Grid, Parameters } from './grid.js';
import { levelRecord } from './levels.js';

/**
 * Rounds every weight to the nearest value that given scales and offsets allow, and writes codes (none for float
 * types) and decoded values, each cols × stride in the kernels' memory. u = (w − offset) / scale in f32; integers
 * round half to even, tables to the lower level.
 */
export async function roundPanel(
  kernels: Kernels,
  weight: Panel,
  grid: Pick<Grid, 'levels' | 'groupSize'>,
  parameters: Pick<Parameters, 'scale' | 'offset' | 'codebook'>,
  { codes, values }: Pick<Encoded, 'codes' | 'values'>,
): Promise<void> {
  const { stride, cols, data } = weight;
  await kernels.scope((arena) => {
    const levels = levelRecord(arena, grid, parameters);
    const groupSize = Math.min(grid.groupSize, cols);
    const { scale, offset } = parameters;
    kernels.parallel('roundColumns', stride, {
      weight: data,
      stride,
      cols,
      groupSize,
      scale,
      offset,
      levels,
      codes,
      values,
    });
  });
}
