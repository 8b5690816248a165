import { TersorError } from '../errors.js';
import type { Arena, Kernels } from '../kernels/kernels.js';
import { slabHeight, slabs, strideOf } from '../kernels/panel.js';
import { dequantize } from './dequantize.js';
import { fitDirect } from './fit.js';
import type { CodedLevels } from './fit-arguments.js';
import { fitTensor } from './fit-tensor.js';
import type { Encoded, Grid, Parameters } from './grid.js';

const groupSizes = [16, 32, 64, 128, 256];
/** What a bare `int4` means: as many columns as GGUF's simple formats, and MatMulNBits by default, share a scale. */
const usualGroupSize = 32;
const halfBytes = 2;
const namePattern = /^int([1-8])(?:-(tensor|channel|g(\d+)))?(-asym)?$/;

type Sharing = 'tensor' | 'channel' | 'group';

interface IntegerFormat {
  readonly name: string;
  readonly bits: number;
  readonly sharing: Sharing;
  /** Columns that share a scale; `Infinity` for a channel or the tensor. */
  readonly groupSize: number;
  readonly levels: CodedLevels;
  readonly affine: boolean;
}

/**
 * Uniform integers of 1 to 8 bits: `int<bits>-tensor`, `-channel` (output row), `-g16` … `-g256` (columns of a
 * row), bare `int<bits>` for `-g32`. Symmetric: levels −2^(b−1) … 2^(b−1) − 1 times a half scale (1 bit: −1 and 1).
 * With the suffix `-asym`: levels 0 … 2^b − 1 times a half scale plus a half offset, a float and not an integer
 * zero point. A row must be divisible by the group size; channels and tensors take any row.
 *
 * Stored row after row, a row as blocks of one group (channel, tensor: the whole row): the codes, `bits` each, the
 * first in the lowest bits of the first byte, padded to whole bytes; then the little-endian half scale, then the
 * offset. Per tensor there is one scale (and offset), after the last row. Codes count from the lowest level.
 *
 * @returns undefined if the name is not one of these
 */
export function findIntegerGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const [, bits = '', shared = `g${usualGroupSize}`, size, asymmetric] = match;
  const groupSize = shared.startsWith('g') ? Number(size ?? usualGroupSize) : Number.POSITIVE_INFINITY;
  const sharing: Sharing = shared === 'tensor' || shared === 'channel' ? shared : 'group';
  if (sharing === 'group' && !groupSizes.includes(groupSize)) return undefined;
  const affine = asymmetric !== undefined;
  return integerGrid({
    name,
    bits: Number(bits),
    sharing,
    groupSize,
    levels: levelsOf(Number(bits), affine),
    affine,
  });
}

/** How these grids are named, for messages that list what there is. */
export const integerGridNames = 'int1 … int8, with -tensor, -channel or -g16 … -g256, and -asym';

function levelsOf(bits: number, affine: boolean): CodedLevels {
  if (affine) return { kind: 'uniform', min: 0, max: 2 ** bits - 1 };
  if (bits === 1) return { kind: 'table', values: Float32Array.of(-1, 1) };
  return { kind: 'uniform', min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 };
}

function integerGrid(format: IntegerFormat): Grid {
  const { name, bits, sharing, groupSize, levels, affine } = format;
  const grouped = sharing === 'group';
  const grid: Grid = {
    name,
    summary: `${bits}-bit integers, a half scale ${affine ? 'and offset ' : ''}per ${grouped ? groupSize : sharing}`,
    levels,
    blockSize: grouped ? groupSize : 1,
    // Without groups a column of one row: what its code takes, a fraction. `bytes` is exact.
    blockBytes: grouped ? rowBytes(format, groupSize) : bits / 8,
    groupSize,
    runtimes: ['tersor'],
    ...(sharing === 'tensor' && { whole: true }),
    bytes: (rows, cols) => rows * rowBytes(format, cols) + tensorBytes(format),
    allocate(arena, rows, cols) {
      const length = groupsOf(format, cols) * strideOf(rows);
      // Offsets of −0 leave every product as it is, the sign of a zero included.
      return { scale: arena.f32(length), offset: arena.f32(length).fill(affine ? 0 : -0), stored: {} };
    },
    fit(kernels, weight, importance, parameters, from) {
      if (sharing === 'tensor') return fitTensor(kernels, levels, affine, weight, importance, parameters);
      const scale = { kind: 'direct', type: 'f16', offset: affine } as const;
      const blockSize = Math.min(groupSize, weight.cols);
      return fitDirect(
        kernels,
        { levels, groupSize, blockSize, scale },
        weight,
        importance,
        parameters,
        from,
      );
    },
    pack: (kernels, encoded) => pack(kernels, format, encoded),
    unpack: (kernels, arena, bytes, rows, cols) => unpack(kernels, arena, grid, format, bytes, rows, cols),
  };
  return grid;
}

/** Groups of a row, whole ones. */
function groupsOf({ name, groupSize, sharing }: IntegerFormat, cols: number): number {
  if (sharing !== 'group') return 1;
  if (cols % groupSize)
    throw new TersorError(`type ${name} stores ${groupSize} columns together and the rows have ${cols}`, {
      remedy: 'choose a smaller group or one scale per channel',
    });
  return cols / groupSize;
}

function rowBytes(format: IntegerFormat, cols: number): number {
  const groups = groupsOf(format, cols);
  const codeBytes = Math.ceil(((cols / groups) * format.bits) / 8);
  return groups * (codeBytes + (format.sharing === 'tensor' ? 0 : parameterBytes(format)));
}

const parameterBytes = ({ affine }: IntegerFormat) => (affine ? 2 : 1) * halfBytes;
const tensorBytes = (format: IntegerFormat) => (format.sharing === 'tensor' ? parameterBytes(format) : 0);

async function pack(kernels: Kernels, format: IntegerFormat, encoded: Encoded): Promise<Uint8Array> {
  const { rows, cols, codes, parameters } = encoded;
  if (!codes) throw new Error(`${format.name} stores codes`);
  const bytes = new Uint8Array(rows * rowBytes(format, cols) + tensorBytes(format));
  await forSlabs(kernels, 'packIntegers', format, { ...encoded, codes }, (slab, at) => bytes.set(slab, at));
  if (format.sharing !== 'tensor') return bytes;
  await kernels.scope((arena) => {
    const { floats, halves } = tensorParameters(arena, format);
    floats.set([parameters.scale[0] ?? 0, parameters.offset[0] ?? 0]);
    kernels.call('castToF16', 0, floats.length, floats, halves);
    bytes.set(halves, bytes.length - halves.length);
  });
  return bytes;
}

async function unpack(
  kernels: Kernels,
  arena: Arena,
  grid: Grid,
  format: IntegerFormat,
  bytes: Uint8Array,
  rows: number,
  cols: number,
): Promise<Encoded> {
  const expected = grid.bytes(rows, cols);
  if (bytes.length !== expected)
    throw new TersorError(
      `${bytes.length} bytes are not ${rows} × ${cols} weights of type ${format.name}, which take ${expected}`,
      { remedy: 'check that the file is complete' },
    );
  const shape = { rows, stride: strideOf(rows), cols };
  const codes = arena.u8(cols * shape.stride);
  const parameters = grid.allocate(arena, rows, cols);
  const load = (slab: Uint8Array, start: number) => slab.set(bytes.subarray(start, start + slab.length));
  await forSlabs(kernels, 'unpackIntegers', format, { ...shape, codes, parameters }, load);
  if (format.sharing === 'tensor')
    await kernels.scope((inner) => {
      const { floats, halves } = tensorParameters(inner, format);
      load(halves, bytes.length - halves.length);
      kernels.call('convertF16', 0, floats.length, halves, floats);
      parameters.scale.fill(floats[0] ?? 0);
      if (format.affine) parameters.offset.fill(floats[1] ?? 0);
    });
  const values = arena.f32(cols * shape.stride);
  await dequantize(kernels, grid, codes, parameters, shape, values);
  return { grid, ...shape, codes, parameters, values };
}

/** Room for the scale and offset of a whole tensor, as floats and as the file's halves. */
function tensorParameters(arena: Arena, format: IntegerFormat) {
  return { floats: arena.f32(2), halves: arena.u8(tensorBytes(format)) };
}

/** Runs a packing kernel over slabs of rows, whose file bytes pass through the kernels' memory. */
async function forSlabs(
  kernels: Kernels,
  kernel: 'packIntegers' | 'unpackIntegers',
  format: IntegerFormat,
  tensor: { rows: number; stride: number; cols: number; codes: Uint8Array; parameters: Parameters },
  exchange: (slab: Uint8Array, start: number) => void,
): Promise<void> {
  const { rows, stride, cols, codes, parameters } = tensor;
  const bytesOfRow = rowBytes(format, cols);
  const own = format.sharing !== 'tensor';
  await kernels.scope((arena) => {
    const file = arena.u8(Math.min(slabHeight(cols), stride) * bytesOfRow);
    for (const { from, to } of slabs(rows, cols)) {
      const slab = file.subarray(0, (to - from) * bytesOfRow);
      if (kernel === 'unpackIntegers') exchange(slab, from * bytesOfRow);
      kernels.parallel(
        kernel,
        to - from,
        codes.subarray(from),
        stride,
        cols,
        cols / groupsOf(format, cols),
        format.bits,
        own ? parameters.scale.subarray(from) : 0,
        own && format.affine ? parameters.offset.subarray(from) : 0,
        bytesOfRow,
        file,
      );
      if (kernel === 'packIntegers') exchange(slab, from * bytesOfRow);
    }
  });
}
