import { TersorError } from '../../errors.js';
import type { Arena, Kernels } from '../../kernels/kernels.js';
import { slabHeight, slabs, strideOf } from '../../kernels/panel.js';
import { dequantize } from '../gguf/dequantize.js';
import { type Encoded, type Grid, type Parameters, storedBytes } from '../grid.js';

/**
 * How tersor's own grids store a tensor: row after row, a row as blocks of one group. A block holds the codes, `bits`
 * each, the first in the lowest bits of the first byte, padded to whole bytes; then what the group's scale and offset
 * are stored as. After its blocks come the row's own numbers, which are signed bytes or little-endian halves.
 */
export interface RowLayout {
  /** Of the type, for messages. */
  readonly name: string;
  readonly bits: number;
  /** Columns of a block; `Infinity`: the whole row. */
  readonly groupSize: number;
  /** Per block: a half scale, a half scale and offset, the one byte of `stored.scaleCode`, or nothing. */
  readonly block: 'scale' | 'scale-offset' | 'code' | 'nothing';
  /** Numbers per row: count × stride in the parameters. */
  readonly lines?: {
    readonly count: number;
    readonly as: keyof typeof numberBytes;
    of(parameters: Parameters): Float32Array;
  };
  /** Last in a row: whole numbers of so many bits, count × stride in the parameters, the first in the lowest bits. */
  readonly integers?: {
    readonly count: number;
    readonly bits: number;
    of(parameters: Parameters): Uint8Array;
  };
}

const numberBytes = { half: 2, byte: 1 } as const;

const blockParameters = { scale: 2, 'scale-offset': 4, code: 1, nothing: 0 };

/** Groups of a row. Throws a TersorError unless they are whole. */
export function groupsOf({ name, groupSize }: Pick<RowLayout, 'name' | 'groupSize'>, cols: number): number {
  if (!Number.isFinite(groupSize)) return 1;
  if (cols % groupSize)
    throw new TersorError(`type ${name} stores ${groupSize} columns together and the rows have ${cols}`, {
      remedy: 'choose a smaller group or one scale per channel',
    });
  return cols / groupSize;
}

/** Bytes of one block of so many columns. */
export const blockBytes = ({ bits, block }: RowLayout, cols: number): number =>
  Math.ceil((cols * bits) / 8) + blockParameters[block];

/** Bytes of a row. */
export function rowBytes(layout: RowLayout, cols: number): number {
  const groups = groupsOf(layout, cols);
  const { count, as } = layout.lines ?? { count: 0, as: 'byte' };
  return groups * blockBytes(layout, cols / groups) + count * numberBytes[as] + integerBytes(layout);
}

const integerBytes = ({ integers }: RowLayout): number =>
  integers ? Math.ceil((integers.count * integers.bits) / 8) : 0;

/** The rows of a tensor as bytes, followed by `tail` bytes that are left zero. */
export async function packRows(
  kernels: Kernels,
  layout: RowLayout,
  encoded: Encoded,
  tail = 0,
): Promise<Uint8Array> {
  const { rows, cols, codes } = encoded;
  if (!codes) throw new Error(`${layout.name} stores codes`);
  const bytes = new Uint8Array(rows * rowBytes(layout, cols) + tail);
  await forSlabs(kernels, 'packIntegers', layout, { ...encoded, codes }, (slab, at) => bytes.set(slab, at));
  return bytes;
}

/**
 * The inverse of `packRows`.
 * @param complete computes the parameters that are not stored as they are, before values are decoded
 * @throws TersorError when there are too few or too many bytes
 */
export async function unpackRows(
  kernels: Kernels,
  arena: Arena,
  { grid, layout }: { readonly grid: Grid; readonly layout: RowLayout },
  bytes: Uint8Array,
  { rows, cols }: Pick<Encoded, 'rows' | 'cols'>,
  complete?: (parameters: Parameters) => Promise<void> | void,
): Promise<Encoded> {
  requireBytes(grid, bytes, rows, cols);
  const shape = { rows, stride: strideOf(rows), cols };
  const codes = arena.u8(cols * shape.stride);
  const parameters = grid.allocate(arena, rows, cols);
  await loadRows(kernels, layout, bytes, { ...shape, codes, parameters });
  await complete?.(parameters);
  const values = arena.f32(cols * shape.stride);
  await dequantize(kernels, grid, codes, parameters, shape, values);
  return { grid, ...shape, codes, parameters, values };
}

/** Reads codes and what is stored of the parameters. */
export function loadRows(
  kernels: Kernels,
  layout: RowLayout,
  bytes: Uint8Array,
  tensor: Coded,
): Promise<void> {
  const load = (slab: Uint8Array, start: number) => slab.set(bytes.subarray(start, start + slab.length));
  return forSlabs(kernels, 'unpackIntegers', layout, tensor, load);
}

/** Codes and parameters of a tensor, in the kernels' memory. */
type Coded = Pick<Encoded, 'rows' | 'stride' | 'cols' | 'parameters'> & { readonly codes: Uint8Array };

/** @throws TersorError unless there are as many bytes as a tensor of this shape takes */
export function requireBytes(grid: Grid, bytes: Uint8Array, rows: number, cols: number): void {
  const expected = grid.bytes(rows, cols);
  if (bytes.length !== expected)
    throw new TersorError(
      `${bytes.length} bytes are not ${rows} × ${cols} weights of type ${grid.name}, which take ${expected}`,
      { remedy: 'check that the file is complete' },
    );
}

/** Blocks without parameters, rows without numbers of their own. */
const onlyCodes = {
  scale: undefined,
  offset: undefined,
  scaleCode: undefined,
  lines: undefined,
  lineCount: 0,
  lineBytes: 0,
};

/** Runs a packing kernel over slabs of rows, whose file bytes pass through the kernels' memory. */
async function forSlabs(
  kernels: Kernels,
  kernel: 'packIntegers' | 'unpackIntegers',
  layout: RowLayout,
  tensor: Coded,
  exchange: (slab: Uint8Array, start: number) => void,
): Promise<void> {
  const { rows, stride, cols, codes, parameters } = tensor;
  const bytesOfRow = rowBytes(layout, cols);
  const { block, lines, integers } = layout;
  const scale = block === 'scale' || block === 'scale-offset';
  const numbers = lines?.of(parameters);
  await kernels.scope(async (arena) => {
    const file = arena.u8(Math.min(slabHeight(cols), stride) * bytesOfRow);
    for (const { from, to } of slabs(rows, cols)) {
      const slab = file.subarray(0, (to - from) * bytesOfRow);
      if (kernel === 'unpackIntegers') exchange(slab, from * bytesOfRow);
      kernels.parallel(kernel, to - from, {
        codes: codes.subarray(from),
        stride,
        cols,
        blockCols: cols / groupsOf(layout, cols),
        bits: layout.bits,
        scale: scale ? parameters.scale.subarray(from) : undefined,
        offset: block === 'scale-offset' ? parameters.offset.subarray(from) : undefined,
        scaleCode: block === 'code' ? storedBytes(parameters, 'scaleCode').subarray(from) : undefined,
        lines: numbers?.subarray(from),
        lineCount: lines?.count ?? 0,
        lineBytes: lines ? numberBytes[lines.as] : 0,
        rowBytes: bytesOfRow,
        bytes: file,
      });
      if (integers) {
        kernels.parallel(kernel, to - from, {
          codes: integers.of(parameters).subarray(from),
          stride,
          cols: integers.count,
          blockCols: integers.count,
          bits: integers.bits,
          ...onlyCodes,
          rowBytes: bytesOfRow,
          bytes: file.subarray(bytesOfRow - integerBytes(layout)),
        });
      }
      if (kernel === 'packIntegers') exchange(slab, from * bytesOfRow);
    }
  });
}
