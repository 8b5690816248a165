import type { Kernels } from '../../kernels/kernels.js';
import { type Parameters, storedBytes } from '../grid.js';
import { levelRecord } from '../levels.js';

/** Writes `stored.scaleCode`: which of the ascending `values`, times `unit`, every scale is. */
export function scalesToCodes(
  kernels: Kernels,
  parameters: Parameters,
  stride: number,
  values: Float32Array,
  unit = 1,
): Promise<void> {
  return convert(kernels, 'scalesToCodes', parameters, stride, values, unit);
}

/** The inverse of `scalesToCodes`. */
export function codesToScales(
  kernels: Kernels,
  parameters: Parameters,
  stride: number,
  values: Float32Array,
  unit = 1,
): Promise<void> {
  return convert(kernels, 'codesToScales', parameters, stride, values, unit);
}

function convert(
  kernels: Kernels,
  kernel: 'scalesToCodes' | 'codesToScales',
  parameters: Parameters,
  stride: number,
  values: Float32Array,
  unit: number,
): Promise<void> {
  const { scale } = parameters;
  return kernels.scope((arena) => {
    const stored = levelRecord(arena, { levels: { kind: 'table', values } }, {});
    const codes = storedBytes(parameters, 'scaleCode');
    kernels.parallel(kernel, stride, { groups: scale.length / stride, stride, stored, unit, scale, codes });
  });
}
