import { TersorError } from '../../errors.js';
import type { Arena, Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import { type Encoded, type Grid, type Parameters, storedFloats } from '../grid.js';
import { findCodebookGrid } from './codebook.js';
import { findIntegerGrid } from './integer.js';
import { requireBytes } from './rows.js';

const namePattern = /^(.+)-([sc])(\d+(?:\.\d+)?)$/;
/** Per cent; with more of them, another bit for every code costs no more. */
const [fewest, most] = [0.01, 10];
const [halfBytes, countBytes, columnBytes] = [2, 4, 2];
/** Kernels read and write bits in words of eight bytes. */
const wordBytes = 8;

/** How these grids are named, for messages that list what there is. */
export const outlierGridNames =
  'int1-s1 … int8-g256-asym-s10, codebook3-s0.5 (per cent of the weights as outliers), or -c1 (per cent of the columns)';

/** A grid whose values are those of another plus a sparse part. */
export interface OutlierGrid extends Grid {
  /** The grid of the codes. */
  readonly base: Grid;
  /** Outliers are whole columns, not single weights. */
  readonly columns: boolean;
  /** How many outliers, or columns of them, a tensor of this shape has room for. */
  room(rows: number, cols: number): number;
}

/**
 * Grids with outliers (QuantEase, Behdin et al., 2023, section 4; SqueezeLLM's dense-and-sparse): ŵ = b + s with b on an
 * integer or codebook grid and s a half where it is not zero. `int3-g64-s1` has room for 1 % of the weights, anywhere;
 * `int3-g64-c1` for 1 % of the columns, whole, at least one.
 *
 * Stored: the bytes of the other grid. Then for single weights their number n (u32) and room for as many as there may
 * be: positions p = column · rows + row, ascending, in the coding of Elias (1974) and Fano (1971), that is the l lowest
 * bits of each, l = ⌊log2(weights / room)⌋, lowest bits first, then a row of bits of which the i-th that is set stands
 * at (p_i >> l) + i, both padded to whole bytes; then the halves in the same order. For columns: their numbers (u16),
 * then column after column its halves. Little-endian.
 * @returns undefined if the name is not one of these
 */
export function findOutlierGrid(name: string): OutlierGrid | undefined {
  const match = namePattern.exec(name);
  const base = match?.[1] ? (findIntegerGrid(match[1]) ?? findCodebookGrid(match[1])) : undefined;
  const percent = Number(match?.[3]);
  if (!base || base.whole || !(percent >= fewest && percent <= most)) return undefined;
  const columns = match?.[2] === 'c';
  const room = (rows: number, cols: number) => {
    return Math.max(1, Math.round(((columns ? cols : rows * cols) * percent) / 100));
  };
  /** Parameters without any outliers yet. */
  const withOutliers = (parameters: Parameters, arena: Arena, rows: number, cols: number): Parameters => {
    const outliers = arena.f32(cols * strideOf(rows));
    const numbers = columns ? { columns: Uint16Array.from({ length: room(rows, cols) }, (_, i) => i) } : {};
    return { ...parameters, stored: { ...parameters.stored, outliers, ...numbers } };
  };
  const grid: OutlierGrid = {
    ...base,
    name,
    summary: `${base.summary}, ${percent} % of the ${columns ? 'columns' : 'weights'} as halves`,
    whole: true,
    solver: 'outliers',
    base,
    columns,
    room,
    bytes: (rows, cols) => base.bytes(rows, cols) + sparseBytes(grid, rows, cols),
    allocate(arena, rows, cols) {
      if (columns && cols > 65536)
        throw new TersorError(`type ${name} does not fit rows of ${cols}`, { remedy: 'choose -s for -c' });
      return withOutliers(base.allocate(arena, rows, cols), arena, rows, cols);
    },
    async pack(kernels, encoded) {
      const { rows, cols, parameters } = encoded;
      const bytes = new Uint8Array(grid.bytes(rows, cols));
      const codes = await base.pack(kernels, { ...encoded, grid: base });
      bytes.set(codes);
      const { outliers, columns: numbers } = outliersOf(parameters);
      const tail = bytes.subarray(codes.length);
      if (numbers) await packColumns(kernels, encoded, outliers, numbers, tail);
      else await packWeights(kernels, encoded, outliers, room(rows, cols), tail);
      return bytes;
    },
    async unpack(kernels, arena, bytes, rows, cols) {
      requireBytes(grid, bytes, rows, cols);
      const size = base.bytes(rows, cols);
      const encoded = await base.unpack(kernels, arena, bytes.subarray(0, size), rows, cols);
      const parameters = withOutliers(encoded.parameters, arena, rows, cols);
      const { outliers, columns: numbers } = outliersOf(parameters);
      const tail = bytes.subarray(size);
      if (numbers) await unpackColumns(kernels, encoded, outliers, numbers, tail);
      else await unpackWeights(kernels, encoded, outliers, room(rows, cols), tail);
      kernels.parallel('addOutliers', outliers.length, { outliers, values: encoded.values });
      return { ...encoded, grid, parameters };
    },
  };
  return grid;
}

export const isOutlierGrid = (grid: Grid): grid is OutlierGrid => 'base' in grid && 'room' in grid;

/** The sparse part as a panel, and which columns it may fill where it is whole columns. */
export function outliersOf(parameters: Parameters): {
  readonly outliers: Float32Array;
  readonly columns?: Uint16Array;
} {
  const outliers = storedFloats(parameters, 'outliers');
  const { columns } = parameters.stored;
  return columns instanceof Uint16Array ? { outliers, columns } : { outliers };
}

type Shape = Pick<Encoded, 'rows' | 'stride' | 'cols'>;

/** Bytes behind the codes. */
function sparseBytes({ columns, room }: OutlierGrid, rows: number, cols: number): number {
  const count = room(rows, cols);
  if (columns) return count * (columnBytes + rows * halfBytes);
  const { low, high } = coding(rows, cols, count);
  return countBytes + low + high + count * halfBytes;
}

/** How positions are coded: low bits of each, and bytes of both parts. */
function coding(rows: number, cols: number, room: number) {
  const weights = rows * cols;
  const bits = Math.floor(Math.log2(weights / room));
  return {
    bits,
    low: Math.ceil((room * bits) / 8),
    high: Math.ceil((room + Math.floor(weights / 2 ** bits) + 1) / 8),
  };
}

async function packWeights(
  kernels: Kernels,
  { rows, stride, cols }: Shape,
  outliers: Float32Array,
  room: number,
  into: Uint8Array,
): Promise<void> {
  const { bits, low: lowBytes, high: highBytes } = coding(rows, cols, room);
  await kernels.scope((arena) => {
    const [low, high] = [arena.u8(lowBytes + wordBytes), arena.u8(highBytes)];
    const [numbers, halves] = [arena.f32(room), arena.u8(room * halfBytes)];
    const panel = { panel: outliers, rows, stride, cols };
    const count = kernels.call('countOutliers', panel);
    if (count > room) throw new Error(`${count} outliers do not fit into room for ${room}`);
    kernels.call('listOutliers', { ...panel, lowBits: bits, low, high, numbers });
    kernels.parallel('castToF16', room, { from: numbers, to: halves });
    new DataView(into.buffer, into.byteOffset).setUint32(0, count, true);
    into.set(low.subarray(0, lowBytes), countBytes);
    into.set(high, countBytes + lowBytes);
    into.set(halves, countBytes + lowBytes + highBytes);
  });
}

async function unpackWeights(
  kernels: Kernels,
  { rows, stride, cols }: Shape,
  outliers: Float32Array,
  room: number,
  bytes: Uint8Array,
): Promise<void> {
  const { bits, low: lowBytes, high: highBytes } = coding(rows, cols, room);
  const count = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  await kernels.scope((arena) => {
    const [low, high] = [arena.u8(lowBytes + wordBytes), arena.u8(highBytes)];
    const [numbers, halves] = [arena.f32(room), arena.u8(room * halfBytes)];
    low.set(bytes.subarray(countBytes, countBytes + lowBytes));
    high.set(bytes.subarray(countBytes + lowBytes, countBytes + lowBytes + highBytes));
    halves.set(bytes.subarray(bytes.length - halves.length));
    kernels.parallel('convertF16', room, { from: halves, to: numbers });
    const panel = { panel: outliers, rows, stride, cols };
    const list = { lowBits: bits, low, high, highBytes, numbers, count };
    if (count > room || !kernels.call('placeOutliers', { ...panel, ...list }))
      throw new TersorError(`the positions of ${count} outliers are not in order`, {
        remedy: 'check that the file is complete',
      });
  });
}

async function packColumns(
  kernels: Kernels,
  { rows, stride }: Shape,
  outliers: Float32Array,
  columns: Uint16Array,
  into: Uint8Array,
): Promise<void> {
  const view = new DataView(into.buffer, into.byteOffset);
  await kernels.scope((arena) => {
    const [numbers, halves] = [arena.f32(stride), arena.u8(stride * halfBytes)];
    for (const [i, column] of columns.entries()) {
      view.setUint16(i * columnBytes, column, true);
      numbers.set(outliers.subarray(column * stride, (column + 1) * stride));
      kernels.parallel('castToF16', stride, { from: numbers, to: halves });
      into.set(halves.subarray(0, rows * halfBytes), columns.length * columnBytes + i * rows * halfBytes);
    }
  });
}

async function unpackColumns(
  kernels: Kernels,
  { rows, stride, cols }: Shape,
  outliers: Float32Array,
  columns: Uint16Array,
  bytes: Uint8Array,
): Promise<void> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  await kernels.scope((arena) => {
    const [numbers, halves] = [arena.f32(stride), arena.u8(stride * halfBytes)];
    for (const i of columns.keys()) {
      const column = view.getUint16(i * columnBytes, true);
      if (column >= cols || columns.subarray(0, i).includes(column))
        throw new TersorError(`column ${column} of the outliers is not one of ${cols}, or there twice`, {
          remedy: 'check that the file is complete',
        });
      columns[i] = column;
      const at = columns.length * columnBytes + i * rows * halfBytes;
      halves.set(bytes.subarray(at, at + rows * halfBytes));
      kernels.parallel('convertF16', stride, { from: halves, to: numbers });
      outliers.set(numbers.subarray(0, rows), column * stride);
    }
  });
}
