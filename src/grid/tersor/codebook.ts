import type { Arena, Kernels } from '../../kernels/kernels.js';
import { type Panel, strideOf } from '../../kernels/panel.js';
import { spreadImportance, threadScratch } from '../fit/arguments.js';
import type { Grid, Parameters } from '../grid.js';
import { packRows, type RowLayout, rowBytes, unpackRows } from './rows.js';

const namePattern = /^codebook([2-4])$/;

/** How these grids are named, for messages that list what there is. */
export const codebookGridNames = 'codebook2 … codebook4';

/** Rows whose scratch is in memory at a time. */
const slabRows = 1024;

/**
 * `codebook<bits>` with 2 to 4 bits (SqueezeLLM, Kim et al., 2023): every output row has 2^bits values of its own, the
 * importance-weighted k-means of its weights. Any row length. Stored as src/grid/tersor/rows.ts says, a block per row, followed
 * by the row's table: its values are these signed bytes times the row's half scale. In short rows the bytes spare more
 * than their rounding costs. Codes count from the smallest value.
 * @returns undefined if the name is not one of these
 */
export function findCodebookGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const bits = Number(match[1]);
  const size = 2 ** bits;
  const layout: RowLayout = {
    name,
    bits,
    groupSize: Number.POSITIVE_INFINITY,
    block: 'scale',
    lines: { count: size, as: 'byte', of: codebookOf },
  };
  const grid: Grid = {
    name,
    summary: `${size} values of its own for every row, found by k-means`,
    levels: { kind: 'codebook', size },
    blockSize: 1,
    blockBytes: bits / 8,
    groupSize: Number.POSITIVE_INFINITY,
    runtimes: ['tersor'],
    bytes: (rows, cols) => rows * rowBytes(layout, cols),
    allocate: (arena, rows) => allocateCodebook(arena, rows, size),
    fit: (kernels, weight, importance, parameters) =>
      fitCodebooks(kernels, size, weight, importance, parameters),
    pack: (kernels, encoded) => packRows(kernels, layout, encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, { grid, layout }, bytes, { rows, cols }),
  };
  return grid;
}

/** Parameters with a codebook per row and one scale per group, without offsets (−0). */
export function allocateCodebook(arena: Arena, rows: number, size: number, groups = 1): Parameters {
  const stride = strideOf(rows);
  const codebook = arena.f32(size * stride);
  const length = groups * stride;
  return { scale: arena.f32(length), offset: arena.f32(length).fill(-0), codebook, stored: {} };
}

export function codebookOf({ codebook }: Parameters): Float32Array {
  if (!codebook) throw new Error('parameters without a codebook; make them with the grid’s allocate');
  return codebook;
}

/** Weighted k-means of every row. Threads do not change the result. */
async function fitCodebooks(
  kernels: Kernels,
  size: number,
  { rows, stride, cols, data }: Panel,
  importance: Float32Array,
  parameters: Parameters,
): Promise<void> {
  await kernels.scope((arena) => {
    const vectors = spreadImportance(kernels, arena, importance, cols, cols);
    const scratch = kernels.call('codebookScratch', { cols, size });
    const memory = threadScratch(arena, Math.min(rows, slabRows), scratch);
    for (let from = 0; from < rows; from += slabRows) {
      const count = Math.min(rows - from, slabRows);
      kernels.parallel('fitCodebooks', count, {
        weight: data.subarray(from),
        stride,
        cols,
        importance: vectors,
        size,
        codebook: codebookOf(parameters).subarray(from),
        scale: parameters.scale.subarray(from),
        scratch: memory,
      });
    }
  });
}
