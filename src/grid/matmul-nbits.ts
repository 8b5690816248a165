import type { Grid } from './grid.js';
import { findIntegerGrid } from './integer.js';
import { packRows, type RowLayout, unpackRows } from './rows.js';

/** What MatMulNBits and GatherBlockQuantized of onnxruntime need to know of a weight. */
export interface MatMulNBits {
  readonly bits: number;
  /** Columns that share a scale: the operators' block_size. */
  readonly groupSize: number;
}

/** A grid whose weights onnxruntime multiplies with as they are stored. */
export interface MatMulNBitsGrid extends Grid {
  readonly nbits: MatMulNBits;
}

/** Bytes of one row's parts, in the order in which they follow each other. */
export interface RowParts {
  readonly codes: number;
  readonly scales: number;
}

const namePattern = /^int([248])(?:-g(\d+))?$/;
const halfBytes = 2;

/** How these grids are named, for messages that list what there is. */
export const matMulNBitsNames = 'int2, int4, int8, with -g16 … -g256';

/**
 * The integers of 2, 4 and 8 bits as onnxruntime's MatMulNBits and GatherBlockQuantized (domain com.microsoft) store
 * them: `value = scale · (code − 2^(bits−1))`, codes of a row one after another, the first in the lowest bits, then its
 * scales as halves, which the graph casts to the type of its activations. The same levels and parameters as those of
 * src/grid/integer.ts under the same name; only the order of the bytes differs.
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md)
 * @returns undefined if the name is not one of these
 */
export function findMatMulNBitsGrid(name: string): MatMulNBitsGrid | undefined {
  const match = namePattern.exec(name);
  const base = match && findIntegerGrid(name);
  if (!base) return undefined;
  const nbits = { bits: Number(match[1]), groupSize: base.groupSize };
  const grid: MatMulNBitsGrid = {
    ...base,
    nbits,
    variant: 'MatMulNBits',
    runtimes: ['onnxruntime'],
    pack: (kernels, encoded) => packRows(kernels, layoutOf(name, nbits, encoded.cols), encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, grid, layoutOf(name, nbits, cols), bytes, { rows, cols }),
  };
  return grid;
}

/** Whether a grid is one of these. */
export const isMatMulNBits = (grid: Grid): grid is MatMulNBitsGrid => 'nbits' in grid;

/** Bytes of the parts of a row. */
export function rowParts({ nbits }: MatMulNBitsGrid, cols: number): RowParts {
  return {
    codes: (cols * nbits.bits) / 8,
    scales: (cols / nbits.groupSize) * halfBytes,
  };
}

/** A row as one block, whose scales are the row's own numbers. */
function layoutOf(name: string, { bits, groupSize }: MatMulNBits, cols: number): RowLayout {
  return {
    name,
    bits,
    groupSize: Number.POSITIVE_INFINITY,
    block: 'nothing',
    lines: { count: cols / groupSize, as: 'half', of: ({ scale }) => scale },
  };
}
