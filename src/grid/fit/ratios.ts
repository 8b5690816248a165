import type { Kernels } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Parameters } from '../grid.js';
import { levelRecord } from '../levels.js';
import { bias, type FloatFormat, largestFloat } from '../tersor/float-values.js';
import { spreadImportance } from './arguments.js';

/** Scales in units of the one that makes the largest weight the largest float: an octave, and a bit more. */
const octave = Float32Array.from({ length: 15 }, (_, i) => 2 ** ((1 - i) / 12));
/** For powers of two. */
const powers = Float32Array.of(2, 1, 0.5);

/** What a scale may be: a number in units of `unit`, of an ascending table. */
export interface StoredScale {
  readonly values: Float32Array;
  readonly unit: number;
  readonly power?: true;
}

/**
 * Fits one scale per group for columns [from, from + weight.cols), minimising `Σ importance · (w − nearest value)²`
 * over a ladder of scales; halves unless `stored` says what else.
 */
export async function fitByRatios(
  kernels: Kernels,
  format: FloatFormat & { readonly groupSize: number },
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
  stored?: StoredScale,
): Promise<void> {
  const { stride, cols, data } = weight;
  const groupSize = Math.min(format.groupSize, cols);
  const at = Number.isFinite(format.groupSize) ? (from / groupSize) * stride : 0;
  await kernels.scope((arena) => {
    const ratios = stored?.power ? powers : octave;
    const steps = arena.f32(ratios.length);
    steps.set(ratios);
    const scales = stored && levelRecord(arena, { levels: { kind: 'table', values: stored.values } }, {});
    kernels.parallel(
      'fitByRatios',
      stride,
      data,
      stride,
      cols,
      spreadImportance(kernels, arena, importance, cols, groupSize),
      groupSize,
      largestFloat(format),
      2 ** -format.mantissaBits,
      2 ** (1 - bias(format) - format.mantissaBits),
      steps,
      steps.length,
      scales ?? 0,
      stored?.unit ?? 1,
      parameters.scale.subarray(at),
    );
  });
}
