import type { Kernels } from '../../kernels/kernels.js';
import { type Panel, strideOf } from '../../kernels/panel.js';
import { fitByRatios } from '../fit/ratios.js';
import { type Grid, type Parameters, storedFloats } from '../grid.js';
import { floatValues, largestFloat } from './float-values.js';
import { blockBytes, groupsOf, packRows, type RowLayout, rowBytes, unpackRows } from './rows.js';
import { codesToScales, scalesToCodes } from './scale-codes.js';

const groupSize = 16;
const tensorScaleBytes = 4;
const format = { exponentBits: 2, mantissaBits: 1 };
const values = floatValues(format);
const scaleValues = floatValues({ exponentBits: 4, mantissaBits: 3 }).filter((value) => value >= 0);
/**
 * The scale of the group that determines the tensor's: not E4M3's largest, 448, since error feedback fits one block of
 * columns at a time and later ones may have larger weights; far enough from the subnormals for the smallest.
 */
const firstScale = 64;

/**
 * `nvfp4` (NVIDIA, 2025): E2M1 floats with an E4M3 scale per 16 columns, times one f32 per tensor.
 * Stored as src/grid/tersor/rows.ts says, the scale as its place among the non-negative E4M3 values, which is its bit pattern;
 * the tensor's scale after the last row.
 * @returns undefined if the name is another
 */
export function findNvfp4Grid(name: string): Grid | undefined {
  return name === grid.name ? grid : undefined;
}

const layout: RowLayout = { name: 'nvfp4', bits: 4, groupSize, block: 'code' };

const grid: Grid = {
  name: 'nvfp4',
  summary: '4-bit floats (E2M1), an 8-bit float (E4M3) as scale per 16, a float per tensor',
  levels: { kind: 'table', values },
  blockSize: groupSize,
  blockBytes: blockBytes(layout, groupSize),
  groupSize,
  runtimes: ['tersor'],
  whole: true,
  bytes: (rows, cols) => rows * rowBytes(layout, cols) + tensorScaleBytes,
  allocate(arena, rows, cols) {
    const length = groupsOf(layout, cols) * strideOf(rows);
    const stored = { scaleCode: arena.u8(length), tensorScale: arena.f32(1) };
    return { scale: arena.f32(length), offset: arena.f32(length).fill(-0), stored };
  },
  async fit(kernels, weight, importance, parameters, from) {
    const unit = tensorScale(parameters);
    unit[0] ||= chooseTensorScale(kernels, weight);
    const stored = { values: scaleValues, unit: unit[0] ?? 1 };
    await fitByRatios(kernels, { ...format, groupSize, stored }, weight, importance, parameters, from);
  },
  async pack(kernels, encoded) {
    const { parameters, stride } = encoded;
    const unit = tensorScale(parameters);
    await scalesToCodes(kernels, parameters, stride, scaleValues, unit[0]);
    const bytes = await packRows(kernels, layout, encoded, tensorScaleBytes);
    new DataView(bytes.buffer).setFloat32(bytes.length - tensorScaleBytes, unit[0] ?? 1, true);
    return bytes;
  },
  unpack: (kernels, arena, bytes, rows, cols) =>
    unpackRows(kernels, arena, { grid, layout }, bytes, { rows, cols }, (parameters) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      const unit = view.getFloat32(bytes.length - tensorScaleBytes, true);
      tensorScale(parameters)[0] = unit;
      return codesToScales(kernels, parameters, strideOf(rows), scaleValues, unit);
    }),
};

const tensorScale = (parameters: Parameters): Float32Array => storedFloats(parameters, 'tensorScale');

/** A normal float that gives the largest weight the scale `firstScale`. */
function chooseTensorScale(kernels: Kernels, { data }: Panel): number {
  const largest = kernels.call('largestMagnitude', { x: data, count: data.length });
  return Math.max(2 ** -120, Math.fround(largest / (largestFloat(format) * firstScale)));
}
