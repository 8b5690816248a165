import type { Encoded } from '../../grid/grid.js';
import { type VectorCell, vectorCells, vectorStore } from '../../grid/vector/format.js';
import type { VectorGrid } from '../../grid/vector/vector.js';
import type { Panel } from '../../kernels/panel.js';
import type { Matrix } from '../../types.js';
import { type Factor, factorDamped } from '../cholesky.js';
import { pivotImportance } from '../importance.js';
import type { SolverContext } from '../solver.js';
import { dampedMoment, placeCells, roundToHalves, type VectorLayer } from './layer.js';

/**
 * Sets out what VPTQ works on: chooses outlier columns, puts the vectors in order, factors H and starts the row
 * scales. Codes and entries are zero.
 * @param encoded of a vector grid, as it was allocated
 * @param gram without it every input counts alike
 */
export async function prepareLayer(
  context: SolverContext,
  encoded: Encoded & { readonly grid: VectorGrid },
  weight: Panel,
  gram: Matrix = identity(weight.cols),
  damping: number,
  blockSize: number,
): Promise<{ readonly layer: VectorLayer; readonly factor: Factor }> {
  const { grid, parameters, rows, cols } = encoded;
  const format = grid.format(rows, cols);
  chooseOutliers(encoded, gram);
  const cells = () => largestLast(vectorCells(context.arena, format, parameters, rows, cols), gram);
  const order = context.arena.i32(cols);
  order.set(cells().flatMap(({ columns }) => [...columns]));
  const factor = await factorDamped(context, gram, order, damping, wholeVectors(blockSize, format.dimension));
  await startScales(context, encoded, weight, pivotImportance(context.arena, gram, order, factor));
  return { layer: placeLayer(context, encoded, weight, cells(), { gram, order, factor }), factor };
}

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
  const byEnergy = Array.from({ length: cols }, (_, column) => column).sort(
    (a, b) => energyOf(gram, b) - energyOf(gram, a) || a - b,
  );
  outlierColumns.set(byEnergy.slice(0, outlierColumns.length).sort((a, b) => a - b));
}

/** Vectors by the energy of their inputs, the largest last, because it is assigned first; outlier columns behind. */
function largestLast(cells: readonly VectorCell[], gram: Matrix): VectorCell[] {
  const energy = ({ columns }: VectorCell) =>
    columns.reduce((sum, column) => sum + energyOf(gram, column), 0);
  const vectors = cells.filter(({ columns }) => columns.length > 1);
  const outliers = cells.filter(({ columns }) => columns.length === 1);
  return [...vectors.reverse().sort((a, b) => energy(a) - energy(b)), ...outliers];
}

function placeLayer(
  context: SolverContext,
  { parameters }: Encoded,
  weight: Panel,
  cells: readonly VectorCell[],
  { gram, order, factor }: { readonly gram: Matrix; readonly order: Int32Array; readonly factor: Factor },
): VectorLayer {
  const { stride, cols } = weight;
  const placed = { ...weight, data: context.arena.f32(cols * stride) };
  const positions = context.arena.i32(cols);
  for (const [position, column] of order.entries()) {
    positions[position] = position;
    placed.data.set(weight.data.subarray(column * stride, (column + 1) * stride), position * stride);
  }
  const moment = dampedMoment(context, gram, order, factor);
  const placedCells = placeCells(cells, positions, factor, moment);
  return {
    context,
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
  { kernels }: SolverContext,
  { parameters }: Encoded,
  weight: Panel,
  importance: Float32Array,
): Promise<void> {
  const { rows, cols, stride, data } = weight;
  const { scale } = parameters;
  const { outlierColumns, outlierScales } = vectorStore(parameters);
  await kernels.scope(async (arena) => {
    const squares = arena.f64(stride);
    kernels.parallel('addWeightedSquares', stride, {
      cols,
      stride,
      x: data,
      weights: importance,
      sums: squares,
    });
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
