import type { Panel } from '../grid/grid.js';
import { decodeCells, type VectorCell } from '../grid/vector-format.js';
import type { Arena, Kernels } from '../kernels/kernels.js';
import type { Matrix } from '../types.js';
import type { Factor } from './cholesky.js';
import { doubles, total } from './layer-error.js';
import { cholesky, gramInverse, inverseLower, squareAt } from './small-matrix.js';
import type { Workbench } from './solver.js';

/** How a solver sees one cell: the nearest codeword to t = base + sums·shift by |(t − c)·factor|; both d × d. */
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
  readonly bench: Workbench;
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
  { kernels, arena }: Workbench,
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
    kernels.parallel('gatherSymmetric', size, panel, width, rows, size, order, 1 / scale);
    const column = panel.slice(0, size * width);
    for (let c = 0; c < width; c++) {
      const at = (from + c) * width + c;
      column[at] = (column[at] ?? 0) + damping;
    }
    columns.push(column);
  }
  return { size, blockSize, columns };
}

/** X·H by blocks of columns; X is a panel by position outside the kernels' memory, as are the products. */
export async function* products(
  { bench: { gemm }, weight: { stride } }: VectorLayer,
  { size, blockSize, columns }: BlockColumns,
  x: Float32Array,
): AsyncGenerator<{ first: number; width: number; data: Float32Array }> {
  for (const [b, column] of columns.entries()) {
    const first = b * blockSize;
    const width = Math.min(blockSize, size - first);
    const data = await gemm(
      { data: column, shape: [size, width] },
      { data: x, shape: [size, stride] },
      { transposeA: true },
    );
    yield { first, width, data };
  }
}

/** Cells at their positions, with the squares of L and H that they meet there. */
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

/** Where the work on one block of positions happens, in the kernels' memory. */
export interface SweepSpace {
  readonly sums: Float32Array;
  readonly deltas: Float32Array;
  /** blockSize × blockSize, of which a block of `width` uses rows of `width`. */
  readonly coupling: Float32Array;
  readonly factor: Float32Array;
  readonly shift: Float32Array;
  readonly tiles: Float32Array;
  readonly scratch: Float32Array;
}

export function sweepSpace(
  arena: Arena,
  { weight: { stride }, cells }: Pick<VectorLayer, 'weight' | 'cells'>,
  width: number,
): SweepSpace {
  const d = Math.max(...cells.map(({ columns }) => columns.length));
  const size = Math.max(...cells.flatMap(({ stages }) => stages.map((stage) => stage.size)));
  return {
    sums: arena.f32(width * stride),
    deltas: arena.f32(width * stride),
    coupling: arena.f32(width * width),
    factor: arena.f32(d * d),
    shift: arena.f32(d * d),
    tiles: arena.f32(size * (d + 1)),
    scratch: arena.f32(2 * d * (stride + 16)),
  };
}

/** One step: a cell, one of its stages, and which columns of `sums` learn of the change. */
export interface Step {
  readonly cell: PlacedCell;
  readonly stage: number;
  /** What is to be coded: a panel by position, nothing, or what the codes stand for now. */
  readonly base: Float32Array | 'nothing' | 'kept';
  readonly metric: Metric;
  /** First position of the cell in the block. */
  readonly local: number;
  /** Width of the block. */
  readonly width: number;
  readonly reach: number;
}

/** Takes the best codeword for every row of a cell (kernel sweepVector). */
export function takeBest({ bench, weight, scale }: VectorLayer, space: SweepSpace, step: Step): void {
  const { cell, base, metric, local, width } = step;
  const stage = cell.stages[step.stage];
  if (!stage) throw new Error(`a cell without stage ${step.stage}`);
  const { kernels } = bench;
  const { stride } = weight;
  const d = cell.columns.length;
  space.factor.set(metric.factor);
  space.shift.set(metric.shift);
  kernels.call('tileCodebook', stage.entries, stage.size, d, space.factor, space.tiles);
  kernels.parallel(
    'sweepVector',
    stride,
    stride,
    d,
    cell.columns,
    typeof base === 'string' ? 0 : base,
    base === 'kept' ? 1 : 0,
    space.sums,
    space.deltas,
    local,
    step.reach,
    space.shift,
    space.factor,
    space.coupling.subarray(local * width),
    width,
    scale,
    stage.entries,
    space.tiles,
    stage.size,
    stage.codes,
    space.scratch,
  );
}

/** Δ = W − Ŵ and Δ·H as panels by position in the kernels' memory, and the loss of every row. */
export interface Residual {
  readonly values: Float32Array;
  readonly deltas: Float32Array;
  readonly gradient: Float32Array;
  readonly losses: Float64Array;
  readonly loss: number;
}

/** Room for a residual, to be filled again and again. */
export function residualSpace(arena: Arena, { weight: { cols, stride } }: VectorLayer): Residual {
  const panel = () => arena.f32(cols * stride);
  return { values: panel(), deltas: panel(), gradient: panel(), losses: doubles(arena, stride), loss: 0 };
}

/** Fills a residual from the codes as they are now. */
export async function measure(layer: VectorLayer, space: Residual): Promise<Residual> {
  const { kernels } = layer.bench;
  const { rows, cols, stride, data } = layer.weight;
  const { values, deltas, gradient, losses } = space;
  decodeCells(kernels, layer.cells, layer.scale, values);
  kernels.parallel('subtractPanels', stride, cols, stride, data, values, deltas);
  await multiply(layer, deltas, gradient);
  rowProducts(layer, deltas, gradient, losses);
  return { ...space, loss: total(losses, rows) };
}

/** into = x·H, panels by position in the kernels' memory. */
export async function multiply(layer: VectorLayer, x: Float32Array, into: Float32Array): Promise<void> {
  const { stride } = layer.weight;
  for await (const { first, data } of products(layer, layer.moment, x.slice()))
    into.set(data, first * stride);
}

/** sums[row] = Σ x · y over all columns. */
export function rowProducts(
  { bench: { kernels }, weight: { cols, stride } }: VectorLayer,
  x: Float32Array,
  y: Float32Array,
  sums: Float64Array,
): void {
  kernels.parallel('addRowProducts', stride, cols, stride, x, y, sums.fill(0));
}

/** Rounds to halves where they are. */
export function roundToHalves(kernels: Kernels, array: Float32Array): Promise<void> {
  return kernels.scope((inner) => {
    const floats = inner.f32(array.length);
    const halves = inner.u16(array.length);
    floats.set(array);
    kernels.call('castToF16', 0, array.length, floats, halves);
    kernels.call('convertF16', 0, array.length, halves, floats);
    array.set(floats);
  });
}
