import type { VectorCell } from '../../grid/vector/format.js';
import type { Kernels } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Matrix } from '../../types.js';
import type { Factor } from '../cholesky.js';
import { cholesky, gramInverse, inverseLower, squareAt } from '../small-matrix.js';
import type { SolverContext } from '../solver.js';

/** The metric of one cell: the nearest codeword to t = base + sums·shift by |(t − c)·factor|; both d × d. */
export interface Metric {
  readonly factor: Float32Array;
  readonly shift: Float32Array;
}

/** A cell of the grid, whose columns are consecutive positions from `at` on. */
export interface PlacedCell extends VectorCell {
  readonly at: number;
  /** Of error feedback: t = w + s·L⁻¹ and |(t − c)·L| with L of the cell. */
  readonly feedback: Metric;
  /** Of coordinate descent: t = ŵ + g·H⁻¹ and (t − c)·H·(t − c)ᵀ with H of the cell. */
  readonly descent: Metric;
}

/** A layer on its way to vector codes, all columns by position (src/solver/order.ts). */
export interface VectorLayer {
  readonly context: SolverContext;
  readonly weight: Panel;
  /** By ascending position: the vectors, then the outlier columns. None crosses a block of `moment`. */
  readonly cells: readonly PlacedCell[];
  /** Those of them that are vectors. */
  readonly vectors: readonly PlacedCell[];
  /** One per row and padding, never zero. */
  readonly scale: Float32Array;
  /** Every entry that `cells` share, one codebook after another. */
  readonly codebooks: Float32Array;
  readonly dimension: number;
  readonly moment: BlockColumns;
}

/** A symmetric matrix by columns [b · blockSize, …) of all rows, row-major. */
export interface BlockColumns {
  readonly size: number;
  readonly blockSize: number;
  readonly columns: readonly Float32Array[];
}

/** The damped H that a factor belongs to, both halves of it. */
export function dampedMoment(
  { kernels, arena }: SolverContext,
  { data, rows: size }: Matrix,
  order: Int32Array,
  { blockSize, scale, damping }: Factor,
): BlockColumns {
  const rows = arena.f32(Math.min(blockSize, size) * size);
  const panel = arena.f32(rows.length);
  const columns: Float32Array[] = [];
  for (let from = 0; from < size; from += blockSize) {
    const width = Math.min(blockSize, size - from);
    for (let c = 0; c < width; c++) {
      const row = order[from + c] ?? 0;
      rows.set(data.subarray(row * size, (row + 1) * size), c * size);
    }
    kernels.parallel('gatherSymmetric', size, { out: panel, width, rows, size, order, scale: 1 / scale });
    const column = panel.slice(0, size * width);
    for (let c = 0; c < width; c++) {
      const at = (from + c) * width + c;
      column[at] = (column[at] ?? 0) + damping;
    }
    columns.push(column);
  }
  return { size, blockSize, columns };
}

/** Cells at their positions, with the squares of L and H there. */
export function placeCells(
  cells: readonly VectorCell[],
  positions: Int32Array,
  factor: Factor,
  moment: BlockColumns,
): PlacedCell[] {
  let at = 0;
  return cells.map(({ columns, stages }) => {
    const d = columns.length;
    const [first, block] = [at, Math.floor(at / factor.blockSize)];
    at += d;
    const start = block * factor.blockSize;
    const width = Math.min(factor.blockSize, factor.size - start);
    const square = (matrix: Float32Array | undefined, row: number) =>
      squareAt(matrix ?? new Float32Array(), width, row, first - start, d);
    return {
      at: first,
      columns: positions.subarray(first, at),
      stages,
      feedback: feedbackMetric(square(factor.columns[block], first - start), d),
      descent: descentMetric(square(moment.columns[block], first), d),
    };
  });
}

function feedbackMetric(lower: Float32Array, d: number): Metric {
  for (let i = 0; i < d; i++) lower.fill(0, i * d + i + 1, (i + 1) * d);
  return { factor: lower, shift: inverseLower(lower, d) };
}

function descentMetric(moment: Float32Array, d: number): Metric {
  const factor = cholesky(moment, d);
  return { factor, shift: gramInverse(factor, d) };
}

/** Rounds to halves where they are. */
export function roundToHalves(kernels: Kernels, array: Float32Array): Promise<void> {
  return kernels.scope((inner) => {
    const floats = inner.f32(array.length);
    const halves = inner.u16(array.length);
    floats.set(array);
    kernels.parallel('castToF16', array.length, { from: floats, to: halves });
    kernels.parallel('convertF16', array.length, { from: halves, to: floats });
    array.set(floats);
  });
}
