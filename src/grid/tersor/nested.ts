import type { Arena, Kernels } from '../../kernels/kernels.js';
import { type Panel, strideOf } from '../../kernels/panel.js';
import { roundingErrors } from '../fit/rounding-errors.js';
import { dequantize } from '../gguf/dequantize.js';
import type { Encoded, Grid, Parameters } from '../grid.js';
import { type NestedBits, nestedBits, nestedDistortion, nestedLevels } from './nested-levels.js';
import { loadRows, packRows, type RowLayout, requireBytes, rowBytes } from './rows.js';

const namePattern = /^nested([8642])$/;
/** Bits of a code that lie together. */
const planeBits = 2;
const halfBytes = 2;

/** How these grids are named, for messages that list what there is. */
export const nestedGridNames = 'nested8, nested6, nested4, nested2';

/**
 * One stored tensor whose high bits are every lower precision (after Double Rounding, Huang et al., 2025): a prefix of
 * the bytes of `nested8` is the tensor on `nested6`, `nested4` or `nested2` (`nestedPrefix`). A half scale and offset
 * per output row and precision; any row length.
 *
 * Rounding integers twice, as in the paper, loses at the cells' borders, and one step for all precisions is too short
 * for two bits when it is right for eight. So the cells themselves are nested: those of a normal variable's quantizer,
 * every four joined to one when two bits are left out, and each precision has its own value for a cell (src/grid/
 * nested-levels.ts). Scales are those with the least sum of all precisions' errors, each in units of what it has on a
 * normal variable, the same for all; the solver nested then chooses codes, and for each precision a scale and an offset of
 * its own, under the full H.
 *
 * Stored: for every two bits of the codes, the highest first, scales and offsets of the tensor that ends there as halves,
 * then the plane of these bits, row after row as src/grid/tersor/rows.ts says.
 * @returns undefined if the name is not one of these
 */
export function findNestedGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const bits = Number(match[1]) as NestedBits;
  const levels = { kind: 'table', values: nestedLevels(bits) } as const;
  const grid: Grid = {
    name,
    summary: `the highest ${bits} of 8 nested bits, a half scale and offset per channel`,
    levels,
    blockSize: 1,
    blockBytes: bits / 8,
    groupSize: Number.POSITIVE_INFINITY,
    runtimes: ['tersor'],
    whole: true,
    solver: 'nested',
    bytes: (rows, cols) => (bits / planeBits) * partBytes(rows, cols),
    allocate(arena, rows) {
      const stride = strideOf(rows);
      const lower = precisions(bits).slice(0, -1);
      const stored = lower.flatMap((each) => [
        [`scale${each}`, arena.f32(stride)] as const,
        [`offset${each}`, arena.f32(stride)] as const,
      ]);
      return { scale: arena.f32(stride), offset: arena.f32(stride), stored: Object.fromEntries(stored) };
    },
    async fit(kernels, weight, importance, parameters) {
      await fitNested(kernels, weight, importance, parameters.scale);
      for (const each of precisions(bits)) nestedLines(parameters, each).scale.set(parameters.scale);
    },
    pack: (kernels, encoded) => pack(kernels, bits, encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpack(kernels, arena, { grid, bits }, bytes, { rows, cols }),
  };
  return grid;
}

/** The bits of a nested grid; undefined for others. */
export function nestedBitsOf({ name }: Pick<Grid, 'name'>): NestedBits | undefined {
  const bits = namePattern.exec(name)?.[1];
  return bits === undefined ? undefined : (Number(bits) as NestedBits);
}

/** The precisions that a tensor of so many bits contains, ascending. */
export const precisions = (bits: NestedBits): readonly NestedBits[] =>
  nestedBits.filter((each) => each <= bits).reverse();

/** Scales and offsets of one of the precisions that a tensor contains. */
export function nestedLines(
  { scale, offset, stored }: Parameters,
  bits: NestedBits,
): Pick<Parameters, 'scale' | 'offset'> {
  const [ownScale, ownOffset] = [stored[`scale${bits}`], stored[`offset${bits}`]];
  return ownScale instanceof Float32Array && ownOffset instanceof Float32Array
    ? { scale: ownScale, offset: ownOffset }
    : { scale, offset };
}

/** A tensor at one of the precisions it contains, in arrays of the arena, except for its parameters. */
export async function nestedPart(
  kernels: Kernels,
  arena: Arena,
  encoded: Encoded,
  bits: NestedBits,
): Promise<Encoded & { readonly codes: Uint8Array }> {
  const { rows, cols, stride, codes: all } = encoded;
  const [grid, from] = [findNestedGrid(`nested${bits}`), nestedBitsOf(encoded.grid)];
  if (!all || !grid || !from) throw new Error('nested grids store codes');
  const [codes, values] = [arena.u8(cols * stride), arena.f32(cols * stride)];
  kernels.parallel('takeBits', stride, {
    cols,
    stride,
    codes: all,
    shift: from - bits,
    width: bits,
    plane: codes,
  });
  const parameters = { ...nestedLines(encoded.parameters, bits), stored: {} };
  await dequantize(kernels, grid, codes, parameters, { stride, cols }, values);
  return { grid, rows, stride, cols, codes, parameters, values };
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

/** Of one plane, with the scales and offsets in front of it. */
const partBytes = (rows: number, cols: number) => rows * (2 * halfBytes + rowBytes(plane, cols));

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
      kernels.parallel('castToF16', stride, { from: trial, to: halves });
      kernels.parallel('convertF16', stride, { from: halves, to: trial });
      costs.fill(0);
      for (const format of formats) {
        await kernels.scope(async (inner) => {
          const errors = await roundingErrors(kernels, inner, format, weight, importance, parameters);
          for (let row = 0; row < rows; row++)
            costs[row] = (costs[row] ?? 0) + (errors[row] ?? 0) / format.distortion;
        });
      }
      kernels.parallel('keepBetterRows', rows, {
        lines: 1,
        stride,
        errors: costs,
        bestErrors: least,
        candidate: trial,
        best: scale,
      });
    }
  });
}

async function pack(kernels: Kernels, bits: NestedBits, encoded: Encoded): Promise<Uint8Array> {
  const { rows, cols, stride, codes, parameters } = encoded;
  if (!codes) throw new Error('nested grids store codes');
  const bytes = new Uint8Array((bits / planeBits) * partBytes(rows, cols));
  await kernels.scope(async (arena) => {
    const halves = arena.u8(rows * halfBytes);
    const part = arena.u8(cols * stride);
    let at = 0;
    for (const each of precisions(bits)) {
      const { scale, offset } = nestedLines(parameters, each);
      for (const line of [scale, offset]) {
        kernels.parallel('castToF16', rows, { from: line, to: halves });
        bytes.set(halves, at);
        at += halves.length;
      }
      const shift = bits - each;
      kernels.parallel('takeBits', stride, { cols, stride, codes, shift, width: planeBits, plane: part });
      const packed = await packRows(kernels, plane, { ...encoded, codes: part });
      bytes.set(packed, at);
      at += packed.length;
    }
  });
  return bytes;
}

async function unpack(
  kernels: Kernels,
  arena: Arena,
  { grid, bits }: { readonly grid: Grid; readonly bits: NestedBits },
  bytes: Uint8Array,
  { rows, cols }: Pick<Encoded, 'rows' | 'cols'>,
): Promise<Encoded> {
  requireBytes(grid, bytes, rows, cols);
  const shape = { rows, stride: strideOf(rows), cols };
  const planeBytes = rows * rowBytes(plane, cols);
  const codes = arena.u8(cols * shape.stride);
  const values = arena.f32(cols * shape.stride);
  const parameters = grid.allocate(arena, rows, cols);
  await kernels.scope(async (inner) => {
    const halves = inner.u8(rows * halfBytes);
    const part = inner.u8(cols * shape.stride);
    let at = 0;
    for (const each of precisions(bits)) {
      const { scale, offset } = nestedLines(parameters, each);
      for (const line of [scale, offset]) {
        halves.set(bytes.subarray(at, at + halves.length));
        kernels.parallel('convertF16', rows, { from: halves, to: line });
        at += halves.length;
      }
      const packed = bytes.subarray(at, at + planeBytes);
      await loadRows(kernels, plane, packed, { ...shape, codes: part, parameters });
      const { stride } = shape;
      kernels.parallel('putBits', stride, { cols, stride, codes, shift: bits - each, plane: part });
      at += planeBytes;
    }
    await dequantize(kernels, grid, codes, parameters, shape, values);
  });
  return { grid, ...shape, codes, parameters, values };
}
