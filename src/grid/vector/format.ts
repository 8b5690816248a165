import type { Arena, Kernels } from '../../kernels/kernels.js';
import { strideOf } from '../../kernels/panel.js';
import type { Parameters } from '../grid.js';

/** How a tensor of one shape is cut into vectors. */
export interface VectorFormat {
  /** Columns of a row that one code stands for. */
  readonly dimension: number;
  /** Entries of the codebook and of the residual codebook, powers of two from 4 to 65536. */
  readonly sizes: readonly number[];
  /** Columns that have codebooks of their own; `Infinity`: one for the tensor. */
  readonly groupSize: number;
  /** Columns that are stored as 8-bit integers, at least; so many more that vectors fill the row. */
  readonly outliers: number;
}

/** One codebook's share in the values of a vector: `entries` is size × d, there is a code for every row. */
export interface VectorStage {
  readonly size: number;
  readonly entries: Float32Array;
  readonly codes: Uint16Array;
}

/** A few columns that are coded together: a vector, or an outlier column by itself. In the kernels' memory. */
export interface VectorCell {
  readonly columns: Int32Array;
  readonly stages: readonly VectorStage[];
}

export const halfBytes = 2;
/** The number of an outlier column. */
const columnBytes = 2;
export const outlierBits = 8;
const outlierLevels = 2 ** outlierBits;

/** Bits of a vector's codes. */
export const codeBits = ({ sizes }: VectorFormat): number =>
  sizes.reduce((bits, size) => bits + Math.log2(size), 0);

/** How many vectors, outlier columns and groups a row has. */
export function vectorCounts({ dimension, groupSize, outliers }: VectorFormat, cols: number) {
  const vectors = Math.max(0, Math.floor((cols - outliers) / dimension));
  const perGroup = Math.min(groupSize / dimension, vectors);
  return { vectors, perGroup, groups: Math.ceil(vectors / perGroup), outliers: cols - vectors * dimension };
}

/** Entries of all codebooks of a tensor, coordinates counted one by one. */
export function codebookEntries(format: VectorFormat, cols: number): number {
  return vectorCounts(format, cols).groups * groupEntries(format);
}

const groupEntries = ({ dimension, sizes }: VectorFormat) =>
  dimension * sizes.reduce((sum, size) => sum + size, 0);

/** Bytes of a row's codes. */
export function rowBytes(format: VectorFormat, cols: number): number {
  const { vectors, outliers } = vectorCounts(format, cols);
  return Math.ceil((vectors * codeBits(format) + outliers * outlierBits) / 8);
}

/** Bytes of a stored tensor. */
export function vectorBytes(format: VectorFormat, rows: number, cols: number): number {
  const { outliers } = vectorCounts(format, cols);
  const halves = codebookEntries(format, cols) + rows + outliers;
  return halves * halfBytes + outliers * columnBytes + rows * rowBytes(format, cols);
}

/** Room for the parameters of a tensor. */
export function allocateVectors(arena: Arena, format: VectorFormat, rows: number, cols: number): Parameters {
  const stride = strideOf(rows);
  const { vectors, outliers } = vectorCounts(format, cols);
  return {
    scale: arena.f32(stride),
    offset: arena.f32(stride),
    stored: {
      codebooks: arena.f32(codebookEntries(format, cols)),
      codes: arena.u16((format.sizes.length * vectors + outliers) * stride),
      outlierColumns: arena.u16(outliers),
      outlierScales: arena.f32(outliers),
    },
  };
}

/** What `allocate` made, by its types. */
export function vectorStore({ stored }: Parameters) {
  const { codebooks, codes, outlierColumns, outlierScales } = stored;
  if (
    codebooks instanceof Float32Array &&
    codes instanceof Uint16Array &&
    outlierColumns instanceof Uint16Array &&
    outlierScales instanceof Float32Array
  )
    return { codebooks, codes, outlierColumns, outlierScales };
  throw new Error('parameters of another grid');
}

/** The vectors of a row from its first column to its last, then the outlier columns. */
export function vectorCells(
  arena: Arena,
  format: VectorFormat,
  parameters: Parameters,
  rows: number,
  cols: number,
): VectorCell[] {
  const { dimension, sizes } = format;
  const { vectors, perGroup } = vectorCounts(format, cols);
  const { codebooks, codes, outlierColumns, outlierScales } = vectorStore(parameters);
  const stride = strideOf(rows);
  const codesOf = (index: number) => codes.subarray(index * stride, (index + 1) * stride);
  const loose = new Set(outlierColumns);
  const columns = arena.i32(cols);
  columns.set([...Array.from({ length: cols }, (_, c) => c).filter((c) => !loose.has(c)), ...loose]);

  const cells: VectorCell[] = Array.from({ length: vectors }, (_, v) => {
    let at = Math.floor(v / perGroup) * groupEntries(format);
    const stages = sizes.map((size, stage) => {
      const entries = codebooks.subarray(at, at + size * dimension);
      at += size * dimension;
      return { size, entries, codes: codesOf(stage * vectors + v) };
    });
    return { columns: columns.subarray(v * dimension, (v + 1) * dimension), stages };
  });
  for (const [i, scale] of outlierScales.entries()) {
    const entries = arena.f32(outlierLevels);
    for (const code of entries.keys()) entries[code] = scale * (code - outlierLevels / 2);
    const stage = { size: outlierLevels, entries, codes: codesOf(sizes.length * vectors + i) };
    const at = vectors * dimension + i;
    cells.push({ columns: columns.subarray(at, at + 1), stages: [stage] });
  }
  return cells;
}

/** What the codes stand for: row scale · (entry + residual entry), each product rounded to f32; cols × stride. */
export function decodeCells(
  kernels: Kernels,
  cells: readonly VectorCell[],
  scale: Float32Array,
  values: Float32Array,
): void {
  const stride = scale.length;
  for (const { columns, stages } of cells)
    for (const [stage, { entries, codes }] of stages.entries()) {
      kernels.parallel('decodeVector', stride, {
        stride,
        d: columns.length,
        columns,
        scale,
        codebook: entries,
        codes,
        add: stage > 0,
        values,
      });
    }
}
