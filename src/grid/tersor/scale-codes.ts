import type { Kernels } from '../../kernels/kernels.js';
import type { Parameters } from '../grid.js';
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
  { scale, stored: { scaleCode } }: Parameters,
  stride: number,
  values: Float32Array,
  unit: number,
): Promise<void> {
  if (!scaleCode) throw new Error('parameters without scaleCode; make them with the grid’s allocate');
  const arrays = kernel === 'scalesToCodes' ? [scale, scaleCode] : [scaleCode, scale];
  return kernels.scope((arena) => {
    const record = levelRecord(arena, { levels: { kind: 'table', values } }, {});
    kernels.parallel(kernel, stride, scale.length / stride, stride, record, unit, ...arrays);
  });
}
