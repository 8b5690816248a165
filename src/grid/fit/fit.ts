import type { Kernels } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { GgufFormat } from '../gguf/gguf.js';
import type { Parameters, ScaleStorage } from '../grid.js';
import { type CodedLevels, describeLevels, isCoded, spreadImportance, threadScratch } from './arguments.js';
import { fitTwoLevel } from './two-level.js';

/** What fitting needs to know of a format. */
export interface FitFormat {
  readonly levels: CodedLevels;
  readonly blockSize: number;
  /** `Infinity`: one group per row. */
  readonly groupSize: number;
  readonly scale: ScaleStorage;
}

type DirectScale = Extract<ScaleStorage, { kind: 'direct' }>;

/** What kernels know of how scales and offsets are stored: from 2 on the lowest zero point and 2. */
const storedAs = ({ type, zeroPoint, lowestZeroPoint = 0 }: DirectScale): number =>
  type === 'e8m0' ? 1 : zeroPoint === undefined ? 0 : 2 + lowestZeroPoint;

/** In longer groups the error is a smooth function of the scale, and a local search in the codes wins nothing. */
const localSearchMaximum = 256;
/** Working memory of one thread per column of a group: a vector of weights, and one of codes to search in. */
const vectorBytes = 16;

/**
 * Fits columns [from, from + weight.cols) of a format, whatever its kind: the work of every `Grid.fit`.
 * @param importance one non-negative weight per column, in the kernels' memory
 */
export async function fitFormat(
  kernels: Kernels,
  format: GgufFormat,
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { scale, levels } = format;
  if (!isCoded(levels) || scale.kind === 'none') return;
  if (scale.kind === 'direct')
    await fitDirect(kernels, { ...format, scale, levels }, weight, importance, parameters, from);
  else await fitTwoLevel(kernels, { ...format, scale, levels }, weight, importance, parameters, from);
}

/**
 * Fits one storable scale (and offset) per group, minimising `Σ importance · (w − nearest value)²` per group and
 * row: trial scales around the range-derived one, each refined by weighted least squares for the codes that it
 * gives, then alternating minimisation, then the best of the storable neighbours. A group without any importance
 * is fitted as if all its columns mattered alike. Rows are independent: threads do not change the result.
 */
export async function fitDirect(
  kernels: Kernels,
  format: FitFormat & { readonly scale: DirectScale },
  weight: Panel,
  importance: Float32Array,
  { scale, offset }: Parameters,
  from: number,
): Promise<void> {
  const { rows, stride, cols, data } = weight;
  const groupSize = Math.min(format.groupSize, cols);
  const local = groupSize <= localSearchMaximum;
  const at = Number.isFinite(format.groupSize) ? (from / groupSize) * stride : 0;
  await kernels.scope((arena) => {
    kernels.parallel('fitDirect', rows, {
      weight: data,
      stride,
      cols,
      importance: spreadImportance(kernels, arena, importance, cols, Math.min(format.blockSize, cols)),
      levels: describeLevels(arena, format.levels, format.scale.offset),
      groupSize,
      stored: storedAs(format.scale),
      scale: scale.subarray(at),
      offset: offset.subarray(at),
      scratch: threadScratch(arena, rows, groupSize * vectorBytes * (local ? 2 : 1)),
      local,
    });
  });
}
