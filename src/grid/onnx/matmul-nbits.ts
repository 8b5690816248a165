import type { Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import type { CodedLevels } from '../fit/arguments.js';
import { fitDirect } from '../fit/fit.js';
import { type Encoded, type Grid, type Parameters, storedBytes } from '../grid.js';
import { findIntegerGrid } from '../tersor/integer.js';
import { packRows, type RowLayout, rowBytes, unpackRows } from '../tersor/rows.js';

/** What onnxruntime's MatMulNBits needs to know of a weight. */
export interface MatMulNBits {
  readonly bits: number;
  /** Columns that share a scale: the operator's block_size. */
  readonly groupSize: number;
  /** Groups have a zero point of their own. */
  readonly zeroPoints: boolean;
}

/** A grid whose weights onnxruntime multiplies with as they are stored. */
export interface MatMulNBitsGrid extends Grid {
  readonly nbits: MatMulNBits;
}

/** Bytes of one row's parts, in the order in which they follow each other. */
export interface RowParts {
  readonly codes: number;
  readonly scales: number;
  /** 0 where there are none. */
  readonly zeroPoints: number;
}

const namePattern = /^int([248])(?:-g(\d+))?(-asym)?$/;
const halfBytes = 2;

/** How these grids are named, for messages that list what there is. */
export const matMulNBitsNames = 'int2, int4, int8, with -g16 … -g256, and -asym';

/**
 * The integers of 2, 4 and 8 bits as onnxruntime's MatMulNBits (domain com.microsoft) reads them:
 * `value = scale · (code − zero)`. A row has its codes one after another, the first in the lowest bits, then its
 * scales as halves, which the graph casts to the type of its activations, and with the suffix `-asym` its zero points,
 * whole numbers of as many bits as the codes; without it they are 2^(bits−1) and not stored.
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md)
 *
 * Without zero points these are the levels and parameters of src/grid/tersor/integer.ts under the same name, in another order
 * of bytes; its `-asym` has half offsets in the place of whole zero points.
 * @returns undefined if the name is not one of these
 */
export function findMatMulNBitsGrid(name: string): MatMulNBitsGrid | undefined {
  const match = namePattern.exec(name);
  const base = match && findIntegerGrid(name);
  if (!base) return undefined;
  const nbits = { bits: Number(match[1]), groupSize: base.groupSize, zeroPoints: match[3] !== undefined };
  const layout = (cols: number) => layoutOf(name, nbits, cols);
  const grid: MatMulNBitsGrid = {
    ...base,
    nbits,
    variant: 'MatMulNBits',
    runtimes: ['onnxruntime'],
    bytes(rows, cols) {
      base.bytes(0, cols); // refuses rows that groups do not divide
      return rows * rowBytes(layout(cols), cols);
    },
    pack: (kernels, encoded) => packRows(kernels, layout(encoded.cols), encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, { grid, layout: layout(cols) }, bytes, { rows, cols }),
  };
  return nbits.zeroPoints ? withZeroPoints(grid, layout) : grid;
}

/** Whether a grid is one of these. */
export const isMatMulNBits = (grid: Grid): grid is MatMulNBitsGrid => 'nbits' in grid;

/** Bytes of the parts of a row. */
export function rowParts({ nbits }: MatMulNBitsGrid, cols: number): RowParts {
  const { bits, groupSize, zeroPoints } = nbits;
  const groups = cols / groupSize;
  return {
    codes: (cols * bits) / 8,
    scales: groups * halfBytes,
    zeroPoints: zeroPoints ? Math.ceil((groups * bits) / 8) : 0,
  };
}

/** A row as one block, whose scales are the row's own numbers. */
function layoutOf(name: string, { bits, groupSize, zeroPoints }: MatMulNBits, cols: number): RowLayout {
  const count = cols / groupSize;
  return {
    name,
    bits,
    groupSize: Number.POSITIVE_INFINITY,
    block: 'nothing',
    lines: { count, as: 'half', of: ({ scale }) => scale },
    ...(zeroPoints ? { integers: { count, bits, of: zeroPointsOf } } : {}),
  };
}

const zeroPointsOf = (parameters: Parameters) => storedBytes(parameters, 'zeroPoint');

function withZeroPoints(grid: MatMulNBitsGrid, layout: (cols: number) => RowLayout): MatMulNBitsGrid {
  const { bits, groupSize } = grid.nbits;
  const levels: CodedLevels = { kind: 'uniform', min: 0, max: 2 ** bits - 1 };
  const scale = { kind: 'direct', type: 'f16', offset: true, zeroPoint: levels.max } as const;
  const result: MatMulNBitsGrid = {
    ...grid,
    summary: `${bits}-bit integers, a half scale and a ${bits}-bit zero point per ${groupSize}`,
    levels,
    blockBytes: (groupSize * bits) / 8 + halfBytes + bits / 8,
    scale,
    allocate(arena, rows, cols) {
      const parameters = grid.allocate(arena, rows, cols);
      return { ...parameters, stored: { zeroPoint: arena.u8(parameters.scale.length) } };
    },
    fit: (kernels, weight, importance, parameters, from) =>
      fitDirect(
        kernels,
        { levels, groupSize, blockSize: groupSize, scale },
        weight,
        importance,
        parameters,
        from,
      ),
    pack(kernels, encoded) {
      convert(kernels, 'offsetsToZeroPoints', encoded, groupSize);
      return packRows(kernels, layout(encoded.cols), encoded);
    },
    unpack(kernels, arena, bytes, rows, cols) {
      const shape = { rows, stride: strideOf(rows), cols };
      return unpackRows(kernels, arena, { grid: result, layout: layout(cols) }, bytes, shape, (parameters) =>
        convert(kernels, 'zeroPointsToOffsets', { ...shape, parameters }, groupSize),
      );
    },
  };
  return result;
}

/** Zero points from offsets, or back. */
function convert(
  kernels: Kernels,
  kernel: 'offsetsToZeroPoints' | 'zeroPointsToOffsets',
  { stride, cols, parameters }: Pick<Encoded, 'stride' | 'cols' | 'parameters'>,
  groupSize: number,
): void {
  const { scale, offset } = parameters;
  const zeros = zeroPointsOf(parameters);
  kernels.parallel(kernel, stride, { groups: cols / groupSize, stride, scale, offset, zeros });
}
