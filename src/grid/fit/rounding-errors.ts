import type { Arena, Kernels } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Grid, Parameters } from '../grid.js';
import { roundPanel } from '../round.js';
import { spreadImportance } from './arguments.js';

/**
 * Per row `Σ importance · (w − nearest value)²` under given parameters; importances relative to their mean. The padding
 * counts as no error. In the arena.
 */
export async function roundingErrors(
  kernels: Kernels,
  arena: Arena,
  grid: Pick<Grid, 'levels' | 'groupSize'>,
  weight: Panel,
  importance: Float32Array,
  parameters: Pick<Parameters, 'scale' | 'offset' | 'codebook'>,
): Promise<Float64Array> {
  const { rows, stride, cols, data } = weight;
  const errors = arena.f64(stride);
  await kernels.scope(async (inner) => {
    const values = inner.f32(cols * stride);
    await roundPanel(kernels, weight, grid, parameters, { codes: inner.u8(cols * stride), values });
    const vectors = spreadImportance(kernels, inner, importance, cols, cols);
    kernels.parallel('addRowErrors', stride, {
      cols,
      stride,
      x: data,
      y: values,
      importance: vectors,
      errors,
    });
  });
  return errors.fill(0, rows);
}
