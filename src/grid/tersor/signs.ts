import type { Kernels } from '../../kernels/kernels.js';
import { type Panel, strideOf } from '../../kernels/panel.js';
import { spreadImportance, threadScratch } from '../fit/arguments.js';
import { type Grid, type Parameters, storedFloats } from '../grid.js';
import { allocateCodebook, codebookOf } from './codebook.js';
import { packRows, type RowLayout, rowBytes, unpackRows } from './rows.js';

const namePattern = /^signs([1-4])$/;

/** How these grids are named, for messages that list what there is. */
export const signGridNames = 'signs1 … signs4';

/** Rows whose scratch is in memory at a time. */
const slabRows = 1024;
/** Scratch of kernel signLevels for sixteen rows. */
const levelScratch = 1024;

/**
 * `signs<planes>`: sums of one to four scaled sign planes (BinaryDM's multi-basis, Zheng et al., 2024; BitStack, Wang et
 * al., 2024): ŵ = Σ aₚ bₚ, bₚ = ±1, with scales of its own for every output row. Any row length.
 *
 * Stored as src/grid/tersor/rows.ts says, a block per row, then the row's scales as halves. A code is the place of its sum
 * among the row's sums in ascending order, which names its signs: as many bits as planes.
 * @returns undefined if the name is not one of these
 */
export function findSignGrid(name: string): Grid | undefined {
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const planes = Number(match[1]);
  const size = 2 ** planes;
  const layout: RowLayout = {
    name,
    bits: planes,
    groupSize: Number.POSITIVE_INFINITY,
    block: 'nothing',
    lines: { count: planes, as: 'half', of: basisOf },
  };
  const grid: Grid = {
    name,
    summary: `sums of ${planes === 1 ? 'one sign plane' : `${planes} sign planes`}, scaled per row`,
    levels: { kind: 'codebook', size },
    blockSize: 1,
    blockBytes: planes / 8,
    groupSize: Number.POSITIVE_INFINITY,
    runtimes: ['tersor'],
    bytes: (rows, cols) => rows * rowBytes(layout, cols),
    allocate(arena, rows) {
      const parameters = allocateCodebook(arena, rows, size);
      parameters.scale.fill(1);
      return { ...parameters, stored: { basis: arena.f32(planes * strideOf(rows)) } };
    },
    async fit(kernels, weight, importance, parameters) {
      await fitSigns(kernels, planes, weight, importance, basisOf(parameters));
      await setLevels(kernels, planes, weight.stride, parameters);
    },
    pack: (kernels, encoded) => packRows(kernels, layout, encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackRows(kernels, arena, { grid, layout }, bytes, { rows, cols }, (parameters) =>
        setLevels(kernels, planes, strideOf(rows), parameters),
      ),
  };
  return grid;
}

const basisOf = (parameters: Parameters): Float32Array => storedFloats(parameters, 'basis');

/** Threads do not change the result. */
async function fitSigns(
  kernels: Kernels,
  planes: number,
  { rows, stride, cols, data }: Panel,
  importance: Float32Array,
  basis: Float32Array,
): Promise<void> {
  await kernels.scope((arena) => {
    const vectors = spreadImportance(kernels, arena, importance, cols, cols);
    const scratch = threadScratch(arena, Math.min(rows, slabRows), kernels.call('signsScratch', { cols }));
    for (let from = 0; from < rows; from += slabRows) {
      kernels.parallel('fitSigns', Math.min(rows - from, slabRows), {
        weight: data.subarray(from),
        stride,
        cols,
        importance: vectors,
        planes,
        basis: basis.subarray(from),
        scratch,
      });
    }
  });
}

async function setLevels(
  kernels: Kernels,
  planes: number,
  stride: number,
  parameters: Parameters,
): Promise<void> {
  await kernels.scope((arena) => {
    kernels.parallel('signLevels', stride, {
      basis: basisOf(parameters),
      planes,
      stride,
      codebook: codebookOf(parameters),
      scratch: threadScratch(arena, stride, levelScratch),
    });
  });
}
