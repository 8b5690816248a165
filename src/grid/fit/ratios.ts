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
 * over a ladder of scales; halves unless `format.stored` says what else.
 */
export async function fitByRatios(
  kernels: Kernels,
  format: FloatFormat & { readonly groupSize: number; readonly stored?: StoredScale },
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { stride, cols, data } = weight;
  const { stored } = format;
  const groupSize = Math.min(format.groupSize, cols);
  const at = Number.isFinite(format.groupSize) ? (from / groupSize) * stride : 0;
  await kernels.scope((arena) => {
    const chosen = stored?.power ? powers : octave;
    const ratios = arena.f32(chosen.length);
    ratios.set(chosen);
    kernels.parallel('fitByRatios', stride, {
      weight: data,
      stride,
      cols,
      importance: spreadImportance(kernels, arena, importance, cols, groupSize),
      groupSize,
      top: largestFloat(format),
      step: 2 ** -format.mantissaBits,
      quantum: 2 ** (1 - bias(format) - format.mantissaBits),
      ratios,
      ratioCount: ratios.length,
      values: stored && levelRecord(arena, { levels: { kind: 'table', values: stored.values } }, {}),
      unit: stored?.unit ?? 1,
      scale: parameters.scale.subarray(at),
    });
  });
}
