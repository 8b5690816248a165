import type { Arena, Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import type { CodedLevels } from '../fit/arguments.js';
import { fitDirect } from '../fit/fit.js';
import { fitTensor } from '../fit/tensor.js';
import type { Encoded, Grid, Parameters } from '../grid.js';
import { blockBytes, groupsOf, packRows, type RowLayout, rowBytes, unpackRows } from './rows.js';

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
 * Stored as src/grid/tersor/rows.ts says, with a half scale, then the half offset, per block. Per tensor there is one scale
 * (and offset), after the last row. Codes count from the lowest level.
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
  const layout = layoutOf(format);
  const grid: Grid = {
    name,
    summary: `${bits}-bit integers, a half scale ${affine ? 'and offset ' : ''}per ${grouped ? groupSize : sharing}`,
    levels,
    blockSize: grouped ? groupSize : 1,
    // Without groups a column of one row: what its code takes, a fraction. `bytes` is exact.
    blockBytes: grouped ? blockBytes(layout, groupSize) : bits / 8,
    groupSize,
    ...(sharing === 'tensor' ? {} : { scale: halves(affine) }),
    runtimes: ['tersor'],
    ...(sharing === 'tensor' && { whole: true }),
    bytes: (rows, cols) => rows * rowBytes(layout, cols) + tensorBytes(format),
    allocate(arena, rows, cols) {
      const length = groupsOf(layout, cols) * strideOf(rows);
      // Offsets of −0 leave every product as it is, the sign of a zero included.
      return { scale: arena.f32(length), offset: arena.f32(length).fill(affine ? 0 : -0), stored: {} };
    },
    fit(kernels, weight, importance, parameters, from) {
      if (sharing === 'tensor') return fitTensor(kernels, levels, affine, weight, importance, parameters);
      const scale = halves(affine);
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
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, { grid, layout }, bytes, { rows, cols }, (parameters) =>
        readTensorParameters(kernels, format, bytes, parameters),
      ),
  };
  return grid;
}

const halves = (offset: boolean) => ({ kind: 'direct', type: 'f16', offset }) as const;

const parameterBytes = ({ affine }: IntegerFormat) => (affine ? 2 : 1) * halfBytes;
const tensorBytes = (format: IntegerFormat) => (format.sharing === 'tensor' ? parameterBytes(format) : 0);

function layoutOf({ name, bits, groupSize, sharing, affine }: IntegerFormat): RowLayout {
  return {
    name,
    bits,
    groupSize,
    block: sharing === 'tensor' ? 'nothing' : affine ? 'scale-offset' : 'scale',
  };
}

async function pack(kernels: Kernels, format: IntegerFormat, encoded: Encoded): Promise<Uint8Array> {
  const { parameters } = encoded;
  const bytes = await packRows(kernels, layoutOf(format), encoded, tensorBytes(format));
  if (format.sharing !== 'tensor') return bytes;
  await kernels.scope((arena) => {
    const { floats, halves } = tensorParameters(arena, format);
    floats.set([parameters.scale[0] ?? 0, parameters.offset[0] ?? 0]);
    kernels.parallel('castToF16', floats.length, { from: floats, to: halves });
    bytes.set(halves, bytes.length - halves.length);
  });
  return bytes;
}

/** Reads the scale and offset of a whole tensor from the end of its bytes. */
async function readTensorParameters(
  kernels: Kernels,
  format: IntegerFormat,
  bytes: Uint8Array,
  parameters: Parameters,
): Promise<void> {
  if (format.sharing !== 'tensor') return;
  await kernels.scope((arena) => {
    const { floats, halves } = tensorParameters(arena, format);
    halves.set(bytes.subarray(bytes.length - halves.length));
    kernels.parallel('convertF16', floats.length, { from: halves, to: floats });
    parameters.scale.fill(floats[0] ?? 0);
    if (format.affine) parameters.offset.fill(floats[1] ?? 0);
  });
}

/** Room for the scale and offset of a whole tensor, as floats and as the file's halves. */
function tensorParameters(arena: Arena, format: IntegerFormat) {
  return { floats: arena.f32(2), halves: arena.u8(tensorBytes(format)) };
}
