import { TersorError } from '../../errors.js';
import type { Grid } from '../grid.js';
import {
  allocateVectors,
  codeBits,
  codebookEntries,
  halfBytes,
  type VectorFormat,
  vectorBytes,
  vectorCounts,
} from './format.js';
import { packVectors, unpackVectors } from './pack.js';

/** A grid whose codes stand for several columns of a row at once; only the solver `vptq` finds them. */
export interface VectorGrid extends Grid {
  /** @throws TersorError for shapes that it cannot store */
  format(rows: number, cols: number): VectorFormat;
}

/** A codebook that takes more than this share of the bytes would serve a smaller dimension better. */
const largestBook = 0.08;
const dimensions = [2, 3, 4, 5, 6, 7, 8] as const;
const [smallestSize, largestSize] = [4, 65536];
/** Codes and numbers of columns are stored in two bytes at most. */
const mostColumns = 65536;
const namePattern = /^vq-d([2-8])-k(\d+)(?:-r(\d+))?(?:-g(\d+))?(?:-o(\d+))?$/;
const sizePattern = /^vq-(\d(?:\.\d+)?)$/;

/** How these grids are named, for messages that list what there is. */
export const vectorGridNames =
  'vq-d2-k16 … vq-d8-k65536 (columns per code, entries; with -r4 … a residual codebook, -g64 … columns per codebook, -o4 … outlier columns), or vq-1.5 … vq-4 (stored bits per weight)';

/**
 * Vector codebooks (VPTQ: Liu et al., 2024, arXiv:2409.17066): `vq-d4-k256` cuts every row into vectors of four
 * columns and stores for each the number of an entry of one codebook; value = row scale · entry. `-r16` adds a
 * codebook of 16 entries for what is left, `-g128` gives every 128 columns codebooks of their own, `-o4` keeps four
 * columns as 8-bit integers. `vq-2.25` chooses dimension and entries so that everything stored, codebooks and
 * scales included, takes at most 2.25 bits per weight.
 *
 * Stored: codebooks (halves; group after group, the residual codebook behind its codebook), row scales (halves),
 * scales of the outlier columns (halves) and their numbers (u16), ascending; then row after row, each padded to
 * whole bytes, lowest bits first: codes of the codebook, codes of the residual codebook, 8-bit codes of the outlier
 * columns (128 is zero). Little-endian.
 *
 * @returns undefined if the name is not one of these
 */
export function findVectorGrid(name: string): VectorGrid | undefined {
  const budget = sizePattern.exec(name)?.[1];
  if (budget) return vectorGrid(name, Number(budget), (rows, cols) => withinBits(Number(budget), rows, cols));
  const match = namePattern.exec(name);
  if (!match) return undefined;
  const [, dimension, size, residual, groupSize, outliers] = match;
  const sizes = [size, residual].flatMap((text) => (text === undefined ? [] : [Number(text)]));
  if (!sizes.every(isSize)) return undefined;
  const format: VectorFormat = {
    dimension: Number(dimension),
    sizes,
    groupSize: Number(groupSize ?? Number.POSITIVE_INFINITY),
    outliers: Number(outliers ?? 0),
  };
  if (groupSize && (format.groupSize === 0 || format.groupSize % format.dimension)) return undefined;
  return vectorGrid(name, codeBits(format) / format.dimension, () => format);
}

export const isVectorGrid = (grid: Grid): grid is VectorGrid => grid.levels.kind === 'vector';

const isSize = (size: number) =>
  size >= smallestSize && size <= largestSize && Number.isInteger(Math.log2(size));

function vectorGrid(name: string, bits: number, choose: VectorGrid['format']): VectorGrid {
  const format = (rows: number, cols: number) => {
    const chosen = choose(rows, cols);
    if (vectorCounts(chosen, cols).vectors > 0 && cols <= mostColumns) return chosen;
    throw new TersorError(`type ${name} does not fit rows of ${cols}`, {
      remedy: 'choose a smaller dimension, fewer outlier columns or another type',
    });
  };
  const grid: VectorGrid = {
    name,
    summary: `vector codebooks, about ${Number(bits.toFixed(2))} bits per weight, a half scale per row`,
    levels: { kind: 'vector' },
    format,
    blockSize: 1,
    blockBytes: bits / 8,
    groupSize: Number.POSITIVE_INFINITY,
    runtimes: ['tersor'],
    solver: 'vptq',
    // Codebooks, too, begin with the first row.
    bytes: (rows, cols) => (rows === 0 ? 0 : vectorBytes(format(rows, cols), rows, cols)),
    allocate: (arena, rows, cols) => allocateVectors(arena, format(rows, cols), rows, cols),
    fit: () =>
      Promise.reject(
        new TersorError(`type ${name} has no scales that could be fitted by themselves`, {
          remedy: 'choose the solver vptq',
        }),
      ),
    pack: (kernels, encoded) => packVectors(kernels, format(encoded.rows, encoded.cols), encoded),
    unpack: (kernels, arena, bytes, rows, cols) =>
      unpackVectors(kernels, arena, grid, format(rows, cols), bytes, { rows, cols }),
  };
  return grid;
}

/**
 * The most bits per vector that stay within a budget, in the dimension that makes the least of them: every doubling
 * of the dimension at the same bits per weight saves about an eighth of the loss.
 */
function withinBits(budget: number, rows: number, cols: number): VectorFormat {
  const formats = dimensions.flatMap((dimension) =>
    Array.from({ length: 15 }, (_, i) => ({
      dimension,
      sizes: [smallestSize * 2 ** i],
      groupSize: Number.POSITIVE_INFINITY,
      outliers: 0,
    })),
  );
  const allowed = (budget * rows * cols) / 8;
  const loss = (format: VectorFormat) =>
    4 ** (-codeBits(format) / format.dimension) * 0.875 ** Math.log2(format.dimension);
  const fitting = formats.filter((format) => {
    if (vectorCounts(format, cols).vectors === 0) return false;
    const bytes = vectorBytes(format, rows, cols);
    return bytes <= allowed && codebookEntries(format, cols) * halfBytes <= largestBook * bytes;
  });
  const best = fitting.reduce<VectorFormat | undefined>(
    (least, format) => (least && loss(least) <= loss(format) ? least : format),
    undefined,
  );
  if (best) return best;
  throw new TersorError(`no vector codebook stores ${rows} × ${cols} weights in ${budget} bits each`, {
    remedy: 'allow more bits',
  });
}
