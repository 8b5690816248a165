import type { Arena, Kernels } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import { computeEffective } from '../gguf/dequantize.js';
import type { GgufFormat } from '../gguf/gguf.js';
import { type Parameters, type ScaleStorage, storedBytes, storedFloats } from '../grid.js';
import { type CodedLevels, describeLevels, spreadImportance, threadScratch } from './arguments.js';

/** A format with integer scales per group times a half per block. */
export type TwoLevelFormat = GgufFormat & {
  readonly levels: CodedLevels;
  readonly scale: Extract<ScaleStorage, { kind: 'two-level' }>;
};

/** Working memory of one thread: 256 columns and what belongs to their groups, in vectors. */
const workBytes = 8192;

/** What is best for every group by itself, groups × stride each. */
export interface IdealGroups {
  readonly scale: Float32Array;
  readonly offset: Float32Array;
  /** Half the second derivatives of the loss with respect to scale and offset. */
  readonly curvature: {
    readonly scale: Float32Array;
    readonly mixed: Float32Array;
    readonly offset: Float32Array;
  };
}

/**
 * Fits formats whose scales (and offsets) are small integers per group times a half per block: every group by
 * itself, `projectTwoLevel`, then alternation between integers, compared by the true error, and the block's halves.
 * Writes what is stored (`superScale`, `superOffset`, `scaleCode`, `offsetCode`) and effective scales and offsets.
 */
export async function fitTwoLevel(
  kernels: Kernels,
  format: TwoLevelFormat,
  weight: Panel,
  importance: Float32Array,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { rows, stride, cols, data } = weight;
  const { blockSize, groupSize, levels, scale } = format;
  await kernels.scope((arena) => {
    kernels.parallel('fitTwoLevel', rows, {
      weight: data,
      stride,
      cols,
      importance: spreadImportance(kernels, arena, importance, cols, blockSize),
      levels: describeLevels(arena, levels, scale.offset !== undefined),
      groupSize,
      blockSize,
      ...integerLevels(arena, scale),
      ...storedArrays(format, parameters, stride, from),
      scratch: threadScratch(arena, rows, workBytes),
    });
  });
  computeEffective(kernels, format, parameters, stride, from / groupSize, cols / groupSize);
}

/**
 * Replaces ideal scales and offsets by the storable ones for which the sum over the groups of δᵀ C δ is small, δ
 * being the change and C the curvature, and writes them for columns [from, from + cols), whole blocks.
 */
export async function projectTwoLevel(
  kernels: Kernels,
  format: TwoLevelFormat,
  ideal: IdealGroups,
  { rows, stride, cols }: Omit<Panel, 'data'>,
  parameters: Parameters,
  from: number,
): Promise<void> {
  const { blockSize, groupSize, scale } = format;
  const groups = cols / groupSize;
  await kernels.scope((arena) => {
    const { curvature } = ideal;
    const arrays = [ideal.scale, ideal.offset, curvature.scale, curvature.mixed, curvature.offset];
    const together = arena.f32(arrays.length * groups * stride);
    for (const [i, array] of arrays.entries()) together.set(array, i * groups * stride);
    kernels.parallel('projectTwoLevel', rows, {
      ideal: together,
      stride,
      groups,
      groupsPerBlock: blockSize / groupSize,
      ...integerLevels(arena, scale),
      ...storedArrays(format, parameters, stride, from),
      scratch: threadScratch(arena, rows, workBytes),
    });
  });
  computeEffective(kernels, format, parameters, stride, from / groupSize, groups);
}

/** The integers that scales, and offsets if there are any, may be. */
function integerLevels(arena: Arena, { scaleMin, scaleMax, offset }: TwoLevelFormat['scale']) {
  const integers = (min: number, max: number) => describeLevels(arena, { kind: 'uniform', min, max }, false);
  return {
    scaleLevels: integers(scaleMin, scaleMax),
    offsetLevels: offset && integers(offset.min, offset.max),
  };
}

/** Where super-block scales, offsets and integers of column `from` on are stored. */
function storedArrays(
  { blockSize, groupSize, scale }: TwoLevelFormat,
  parameters: Parameters,
  stride: number,
  from: number,
) {
  const [block, group] = [(from / blockSize) * stride, (from / groupSize) * stride];
  return {
    superScale: storedFloats(parameters, 'superScale').subarray(block),
    superOffset: scale.offset && storedFloats(parameters, 'superOffset').subarray(block),
    scaleCode: storedBytes(parameters, 'scaleCode').subarray(group),
    offsetCode: scale.offset && storedBytes(parameters, 'offsetCode').subarray(group),
  };
}
