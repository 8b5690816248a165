import type { Arena, Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import { type Grid, type Parameters, storedBytes, storedFloats } from '../grid.js';
import { levelRecord } from '../levels.js';
import type { GgufFormat } from './gguf.js';

/**
 * Room for the parameters of a GGUF tensor; every scale is zero. Formats without offsets get offsets of −0,
 * which leave every product as it is, the sign of a zero included, as ggml's decoders do.
 */
export function allocateParameters(format: GgufFormat, arena: Arena, rows: number, cols: number): Parameters {
  const { scale, groupSize, blockSize } = format;
  if (scale.kind === 'none') return { scale: arena.f32(0), offset: arena.f32(0), stored: {} };
  const stride = strideOf(rows);
  const perGroup = (cols / groupSize) * stride;
  const perBlock = (cols / blockSize) * stride;
  const hasOffset = Boolean(scale.offset);
  const effective = { scale: arena.f32(perGroup), offset: arena.f32(perGroup).fill(hasOffset ? 0 : -0) };
  if (scale.kind === 'direct') return { ...effective, stored: {} };
  return {
    ...effective,
    stored: {
      superScale: arena.f32(perBlock),
      scaleCode: arena.u8(perGroup),
      ...(hasOffset && { superOffset: arena.f32(perBlock), offsetCode: arena.u8(perGroup) }),
    },
  };
}

/**
 * Computes the effective scales and offsets of groups [firstGroup, firstGroup + groups) from what a two-level
 * format stores; does nothing for the others. `firstGroup` begins a block.
 */
export function computeEffective(
  kernels: Kernels,
  format: GgufFormat,
  parameters: Parameters,
  stride: number,
  firstGroup: number,
  groups: number,
): void {
  if (format.scale.kind !== 'two-level') return;
  const groupsPerBlock = format.blockSize / format.groupSize;
  const { offset } = format.scale;
  const inGroup = firstGroup * stride;
  const inBlock = (firstGroup / groupsPerBlock) * stride;
  kernels.parallel('effectiveScales', stride, {
    groups,
    groupsPerBlock,
    stride,
    signed: format.scale.scaleMin < 0,
    superScale: storedFloats(parameters, 'superScale').subarray(inBlock),
    superOffset: offset && storedFloats(parameters, 'superOffset').subarray(inBlock),
    scaleCode: storedBytes(parameters, 'scaleCode').subarray(inGroup),
    offsetCode: offset && storedBytes(parameters, 'offsetCode').subarray(inGroup),
    scale: parameters.scale.subarray(inGroup),
    offset: parameters.offset.subarray(inGroup),
  });
}

/**
 * Decodes `cols` columns of codes (cols × stride) into `values`, as the target runtime does. All arrays are in
 * the kernels' memory and begin with the same group.
 */
export async function dequantize(
  kernels: Kernels,
  grid: Pick<Grid, 'levels' | 'groupSize'>,
  codes: Uint8Array,
  parameters: Pick<Parameters, 'scale' | 'offset' | 'codebook'>,
  { stride, cols }: { readonly stride: number; readonly cols: number },
  values: Float32Array,
): Promise<void> {
  const groupSize = Math.min(grid.groupSize, cols);
  await kernels.scope((arena) => {
    const levels = levelRecord(arena, grid, parameters);
    const { scale, offset } = parameters;
    kernels.parallel('dequantize', stride, { cols, groupSize, stride, levels, codes, scale, offset, values });
  });
}
