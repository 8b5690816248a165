import type { Arena, Kernels } from '../kernels/kernels.js';
import { strideOf } from '../kernels/panel.js';
import { dequantize } from './dequantize.js';
import type { Encoded, Grid, Panel } from './grid.js';
import { type NestedBits, nestedBits, nestedDistortion, nestedLevels } from './nested-levels.js';
import { roundingErrors } from './rounding-errors.js';
import { loadRows, packRows, type RowLayout, requireBytes, rowBytes } from './rows.js';

const namePattern = /^nested([8642])$/;
/** Bits of a code that lie together. */
const planeBits = 2;
const halfBytes = 2;

/** How these grids are named, for messages that list what there is. */
export const nestedGridNames = 'nested8, nested6, nested4, nested2';

/**
 * One stored tensor whose high bits are every lower precision (after Double Rounding, Huang et al., 2025): a prefix of
 * the bytes of `nested8` is the tensor on `nested6`, `nested4` or `nested2` (`nestedPrefix`). One half scale per output
 * row; any row length.
 *
 * Rounding integers twice, as in the paper, loses at the cells' borders, and one step for all precisions is too short
 * for two bits when it is right for eight. So the cells themselves are nested: those of a normal variable's quantizer,
 * every four joined to one when two bits are left out, and each precision has its own value for a cell (src/grid/
 * nested-levels.ts). Scales are those with the least sum of all precisions' errors, each in units of what it has on a
 * normal variable.
 *
 * Stored: the scales as halves, then planes of two bits of the codes, the highest first, every one row after row as
 * src/grid/rows.ts says.
 * @returns undefined if the name is not one of these
 */
export function findNestedGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const bits = Number(match[1]) as NestedBits;
  const levels = { kind: 'table', values: nestedLevels(bits) } as const;
  const grid: Grid = {
    name,
    summary: `the highest ${bits} of 8 nested bits, a half scale per channel`,
    levels,
    blockSize: 1,
    blockBytes: bits / 8,
    groupSize: Number.POSITIVE_INFINITY,
    runtimes: ['tersor'],
    whole: true,
    bytes: (rows, cols) => rows * (halfBytes + (bits / planeBits) * rowBytes(plane, cols)),
    allocate(arena, rows) {
      const stride = strideOf(rows);
      return { scale: arena.f32(stride), offset: arena.f32(stride).fill(-0), stored: {} };
    },
    fit: (kernels, weight, importance, { scale }) => fitNested(kernels, weight, importance, scale),
    pack: (kernels, encoded) => pack(kernels, bits, encoded),
    unpack: (kernels, arena, bytes, rows, cols) => unpack(kernels, arena, grid, bits, bytes, rows, cols),
  };
  return grid;
}

/** The part of the bytes of a tensor on `nested8` (or 6, or 4) that is the tensor on `nested<bits>`. */
export function nestedPrefix(bytes: Uint8Array, rows: number, cols: number, bits: NestedBits): Uint8Array {
  return bytes.subarray(0, findNestedGrid(`nested${bits}`)?.bytes(rows, cols));
}

const plane: RowLayout = {
  name: 'nested',
  bits: planeBits,
  groupSize: Number.POSITIVE_INFINITY,
  block: 'nothing',
};

/** Scales that are tried, in units of the row's root mean square. */
const ratios = Array.from({ length: 12 }, (_, i) => 0.8 * 1.06 ** i);

/** The same scales for every precision, so that the lower ones are prefixes of the higher. */
async function fitNested(
  kernels: Kernels,
  weight: Panel,
  importance: Float32Array,
  scale: Float32Array,
): Promise<void> {
  const { rows, stride, cols } = weight;
  await kernels.scope(async (arena) => {
    const offset = arena.f32(stride).fill(-0);
    const trial = arena.f32(stride);
    const formats = nestedBits.map((bits) => ({
      levels: { kind: 'table', values: nestedLevels(bits) } as const,
      groupSize: Number.POSITIVE_INFINITY,
      distortion: nestedDistortion(bits),
    }));
    const [first] = formats;
    if (!first) return;
    const parameters = { scale: trial, offset };
    // With a scale of zero everything is lost.
    const energies = await roundingErrors(kernels, arena, first, weight, importance, parameters);
    const least = arena.f64(stride).fill(Number.POSITIVE_INFINITY, 0, rows);
    const costs = arena.f64(stride);
    const halves = arena.u8(stride * halfBytes);
    for (const ratio of ratios) {
      for (let row = 0; row < rows; row++) trial[row] = ratio * Math.sqrt((energies[row] ?? 0) / cols);
      kernels.parallel('castToF16', stride, trial, halves);
      kernels.parallel('convertF16', stride, halves, trial);
      costs.fill(0);
      for (const format of formats) {
        await kernels.scope(async (inner) => {
          const errors = await roundingErrors(kernels, inner, format, weight, importance, parameters);
          for (let row = 0; row < rows; row++)
            costs[row] = (costs[row] ?? 0) + (errors[row] ?? 0) / format.distortion;
        });
      }
      kernels.parallel('keepBetterRows', rows, 1, stride, costs, least, trial, scale);
    }
  });
}

async function pack(kernels: Kernels, bits: number, encoded: Encoded): Promise<Uint8Array> {
  const { rows, cols, stride, codes, parameters } = encoded;
  if (!codes) throw new Error('nested grids store codes');
  const planeBytes = rows * rowBytes(plane, cols);
  const bytes = new Uint8Array(rows * halfBytes + (bits / planeBits) * planeBytes);
  await kernels.scope(async (arena) => {
    const halves = arena.u8(rows * halfBytes);
    kernels.parallel('castToF16', rows, parameters.scale, halves);
    bytes.set(halves);
    const part = arena.u8(cols * stride);
    for (let at = rows * halfBytes, shift = bits - planeBits; shift >= 0; shift -= planeBits) {
      kernels.parallel('takeBits', stride, cols, stride, codes, shift, planeBits, part);
      bytes.set(await packRows(kernels, plane, { ...encoded, codes: part }), at);
      at += planeBytes;
    }
  });
  return bytes;
}

async function unpack(
  kernels: Kernels,
  arena: Arena,
  grid: Grid,
  bits: number,
  bytes: Uint8Array,
  rows: number,
  cols: number,
): Promise<Encoded> {
  requireBytes(grid, bytes, rows, cols);
  const shape = { rows, stride: strideOf(rows), cols };
  const planeBytes = rows * rowBytes(plane, cols);
  const codes = arena.u8(cols * shape.stride);
  const values = arena.f32(cols * shape.stride);
  const parameters = grid.allocate(arena, rows, cols);
  await kernels.scope(async (inner) => {
    const halves = inner.u8(rows * halfBytes);
    halves.set(bytes.subarray(0, halves.length));
    kernels.parallel('convertF16', rows, halves, parameters.scale);
    const part = inner.u8(cols * shape.stride);
    for (let at = halves.length, shift = bits - planeBits; shift >= 0; shift -= planeBits) {
      await loadRows(kernels, plane, bytes.subarray(at, at + planeBytes), {
        ...shape,
        codes: part,
        parameters,
      });
      kernels.parallel('putBits', shape.stride, cols, shape.stride, codes, shift, part);
      at += planeBytes;
    }
    await dequantize(kernels, grid, codes, parameters, shape, values);
  });
  return { grid, ...shape, codes, parameters, values };
}
