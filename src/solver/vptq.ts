import { TersorError } from '../errors.js';
import type { Encoded, Panel } from '../grid/grid.js';
import { isVectorGrid } from '../grid/vector.js';
import { decodeCells, type VectorCell, vectorCells, vectorStore } from '../grid/vector-format.js';
import type { Matrix } from '../types.js';
import { type Factor, factorDamped } from './cholesky.js';
import { blocksFromTheEnd } from './feedback.js';
import { pivotImportance } from './importance.js';
import { doubles, layerError } from './layer-error.js';
import type { Solver, Workbench } from './solver.js';
import { startCodebooks } from './vector-codebook.js';
import {
  dampedMoment,
  placeCells,
  roundToHalves,
  sweepSpace,
  takeBest,
  type VectorLayer,
} from './vector-layer.js';
import { refine } from './vector-refine.js';

export interface VptqOptions {
  /** Added to the diagonal of H in units of its mean; grows by itself where that is not enough. */
  readonly damping: number;
  /** Rounds of k-means that the codebooks are started with. */
  readonly iterations: number;
  /** Rounds of joint refinement at most. */
  readonly sweeps: number;
  /** Refinement ends when a round takes less than this share off the loss. */
  readonly tolerance: number;
  /** Chooses the vectors that the codebooks are started from. */
  readonly seed: number;
  /** Columns between matrix products; changes speed, not the result. A multiple of eight. */
  readonly blockSize: number;
}

export const vptqDefaults: VptqOptions = {
  damping: 0.01,
  iterations: 20,
  sweeps: 8,
  tolerance: 0.002,
  seed: 0,
  blockSize: 96,
};

/**
 * VPTQ (Liu et al., 2024, arXiv:2409.17066): vectors of d columns on learned codebooks under the full H. Codebooks
 * start by k-means weighted by H; then error feedback assigns vector after vector, the loudest inputs first, in the
 * form of LDLQ (src/solver/gptq.ts) with d × d squares of L where that has numbers; then codes, entries and row
 * scales are refined jointly (src/solver/vector-refine.ts), which never raises the loss.
 * @throws TersorError for other grids, and for a second moment that is not finite or not positive semi-definite
 */
export const vptq: Solver<VptqOptions> = async (bench, weight, moments, grid, options = {}) => {
  if (!isVectorGrid(grid))
    throw new TersorError(`the solver vptq finds vector codes and type ${grid.name} has none`, {
      remedy: 'choose a type such as vq-2.25, or the solver gptq',
    });
  const { rows, cols, stride } = weight;
  const { damping, iterations, sweeps, tolerance, seed, blockSize } = { ...vptqDefaults, ...options };
  const format = grid.format(rows, cols);
  const encoded: Encoded = {
    grid,
    rows,
    stride,
    cols,
    parameters: grid.allocate(bench.arena, rows, cols),
    values: bench.arena.f32(cols * stride),
  };
  const gram = moments?.gram ?? identity(cols);
  await bench.kernels.scope(async (arena) => {
    const inner = { ...bench, arena };
    chooseOutliers(encoded, gram);
    const cells = () => loudestLast(vectorCells(arena, format, encoded.parameters, rows, cols), gram);
    const order = arena.i32(cols);
    order.set(cells().flatMap(({ columns }) => [...columns]));
    const factor = await factorDamped(inner, gram, order, damping, wholeVectors(blockSize, format.dimension));
    await startScales(inner, encoded, weight, pivotImportance(arena, gram, order, factor));
    const layer = placeLayer(inner, encoded, weight, cells(), order, gram, factor);
    await startCodebooks(layer, iterations, seed);
    await roundToHalves(bench.kernels, layer.codebooks);
    await assignWithFeedback(layer, factor);
    await refine(layer, { sweeps, tolerance });
    layer.scale.fill(0, rows);
    decodeCells(
      bench.kernels,
      vectorCells(arena, format, encoded.parameters, rows, cols),
      layer.scale,
      encoded.values,
    );
  });
  const relativeError = await layerError(bench, moments?.gram, weight, encoded.values);
  return { encoded, relativeError, bytes: grid.bytes(rows, cols) };
};

function identity(size: number): Matrix {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * (size + 1)] = 1;
  return { rows: size, cols: size, data };
}

/** The next block size that whole vectors fill, still a multiple of eight. */
function wholeVectors(blockSize: number, dimension: number): number {
  let size = Math.ceil(blockSize / 8) * 8;
  while (size % dimension) size += 8;
  return size;
}

const energyOf = ({ rows, data }: Matrix, column: number) => data[column * (rows + 1)] ?? 0;

/** The columns with the largest inputs. */
function chooseOutliers({ parameters, cols }: Encoded, gram: Matrix): void {
  const { outlierColumns } = vectorStore(parameters);
  const loudest = Array.from({ length: cols }, (_, column) => column).sort(
    (a, b) => energyOf(gram, b) - energyOf(gram, a) || a - b,
  );
  outlierColumns.set(loudest.slice(0, outlierColumns.length).sort((a, b) => a - b));
}

/** Vectors by the energy of their inputs, the largest last, because it is assigned first; outlier columns behind. */
function loudestLast(cells: readonly VectorCell[], gram: Matrix): VectorCell[] {
  const energy = ({ columns }: VectorCell) =>
    columns.reduce((sum, column) => sum + energyOf(gram, column), 0);
  const vectors = cells.filter(({ columns }) => columns.length > 1);
  const outliers = cells.filter(({ columns }) => columns.length === 1);
  return [...vectors.reverse().sort((a, b) => energy(a) - energy(b)), ...outliers];
}

function placeLayer(
  bench: Workbench,
  { parameters }: Encoded,
  weight: Panel,
  cells: readonly VectorCell[],
  order: Int32Array,
  gram: Matrix,
  factor: Factor,
): VectorLayer {
  const { stride, cols } = weight;
  const placed = { ...weight, data: bench.arena.f32(cols * stride) };
  const positions = bench.arena.i32(cols);
  for (const [position, column] of order.entries()) {
    positions[position] = position;
    placed.data.set(weight.data.subarray(column * stride, (column + 1) * stride), position * stride);
  }
  const moment = dampedMoment(bench, gram, order, factor);
  const placedCells = placeCells(cells, positions, factor, moment);
  return {
    bench,
    weight: placed,
    cells: placedCells,
    vectors: placedCells.filter(({ columns }) => columns.length > 1),
    scale: parameters.scale,
    codebooks: vectorStore(parameters).codebooks,
    dimension: cells[0]?.columns.length ?? 1,
    moment,
  };
}

/** The smallest normal half: smaller scales would lose digits. */
const smallestScale = 2 ** -14;
/** Steps on either side of zero; corrections make an outlier column's weights a little larger than they were. */
const outlierSteps = 120;

/**
 * Row scales: the root of the row's mean square, columns weighted by `importance`; 1 for rows of zeros and padding. Scales of the outlier columns:
 * their largest weight, in units of its row.
 */
async function startScales(
  { kernels }: Workbench,
  { parameters }: Encoded,
  weight: Panel,
  importance: Float32Array,
): Promise<void> {
  const { rows, cols, stride, data } = weight;
  const { scale } = parameters;
  const { outlierColumns, outlierScales } = vectorStore(parameters);
  await kernels.scope(async (arena) => {
    const squares = doubles(arena, stride);
    kernels.parallel('addWeightedSquares', stride, cols, stride, data, importance, squares);
    const total = importance.reduce((sum, value) => sum + value, 0);
    for (const [row, square] of squares.entries())
      scale[row] = row < rows && square > 0 ? Math.max(smallestScale, Math.sqrt(square / total)) : 1;
  });
  await roundToHalves(kernels, scale);
  for (const [i, column] of outlierColumns.entries()) {
    const weights = data.subarray(column * stride, column * stride + rows);
    const largest = weights.reduce((most, w, row) => Math.max(most, Math.abs(w) / (scale[row] ?? 1)), 0);
    outlierScales[i] = largest / outlierSteps;
  }
  await roundToHalves(kernels, outlierScales);
}

/**
 * Assigns every cell by error feedback, from the last position to the first: t = w + s·L⁻¹ with s what the errors
 * made so far add up to, and the codeword nearest to t by |(t − c)·L|, L being the cell's square of the factor. A
 * residual codebook sees what its codebook left, through L as well.
 */
async function assignWithFeedback(layer: VectorLayer, factor: Factor): Promise<void> {
  const { bench, weight, cells } = layer;
  const { cols, stride, data } = weight;
  await bench.kernels.scope(async (arena) => {
    const space = sweepSpace(arena, layer, factor.blockSize);
    const deltas = new Float32Array(cols * stride); // Δ by position
    for (const [first, width, column] of blocksFromTheEnd(factor)) {
      const later = first + width;
      space.coupling.set(column.subarray(0, width * width));
      space.sums.fill(0);
      space.deltas.fill(0);
      if (later < cols) {
        const below = { data: column.subarray(width * width), shape: [cols - later, width] };
        const known = { data: deltas.subarray(later * stride), shape: [cols - later, stride] };
        space.sums.set(await bench.gemm(below, known, { transposeA: true }));
      }
      for (const cell of cells.filter(({ at }) => at >= first && at < later).reverse()) {
        const local = cell.at - first;
        const d = cell.columns.length;
        clearAbove(space.coupling, width, local, d);
        for (const stage of cell.stages.keys()) {
          const base = stage === 0 ? data : 'nothing';
          takeBest(layer, space, {
            cell,
            stage,
            base,
            metric: cell.feedback,
            local,
            width,
            reach: local + d,
          });
        }
      }
      deltas.set(space.deltas.subarray(0, width * stride), first * stride);
    }
  });
}

/** Zeroes what stands above the diagonal of a cell's square of L. */
function clearAbove(lower: Float32Array, width: number, local: number, d: number): void {
  for (let i = 0; i < d; i++)
    lower.fill(0, (local + i) * width + local + i + 1, (local + i) * width + local + d);
}
