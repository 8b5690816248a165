import { TersorError } from '../errors.js';
import type { Arena, Kernels } from '../kernels/kernels.js';
import type { Gemm } from '../runtime/gemm.js';
import type { Matrix } from '../types.js';

/**
 * A = scale · (L·Lᵀ − damping · I), A symmetric with rows and columns in a chosen order, L lower triangular.
 * L is kept by block columns: `columns[b]` is row-major with `width` columns, `width` being `blockSize` except
 * for the last, and holds the rows from `b * blockSize` down. Every tail of it is therefore one piece.
 */
export interface Factor {
  readonly size: number;
  readonly blockSize: number;
  readonly columns: readonly Float32Array[];
  /** The mean of A's diagonal, or 1 when that is zero. */
  readonly scale: number;
  readonly damping: number;
}

interface Tools {
  readonly kernels: Kernels;
  readonly gemm: Gemm;
}

/** In units of the mean of the diagonal; with more, the damping would outweigh the matrix. */
const maximumDamping = 10;
/** Where retries start when the caller asked for no damping: the least that still changes a large matrix in f32. */
const minimumDamping = 1e-4;

/**
 * Factors a damped second moment, multiplying the damping by ten until every pivot is positive.
 * @param gram symmetric, non-negative diagonal; one of the two triangles is read, its data may live anywhere
 * @param order position i of the factor is row and column `order[i]` of `gram`; in the kernels' memory
 * @param damping added to the diagonal, in units of its mean
 * @param blockSize columns factored at a time, a multiple of eight
 * @param ridge share of each entry of the diagonal that is added to it, beside the damping
 * @throws TersorError when `gram` has a NaN or an infinity, or no damping helps
 */
export async function factorDamped(
  { kernels, gemm }: Tools,
  gram: Matrix,
  order: Int32Array,
  damping: number,
  blockSize: number,
  ridge = 0,
): Promise<Factor> {
  const scale = meanDiagonal(gram);
  for (let tried = damping; ; tried = Math.max(tried * 10, minimumDamping)) {
    const factor = await kernels.scope((arena) =>
      cholesky({ kernels, gemm }, arena, gram, { order, scale, damping: tried, ridge, blockSize }),
    );
    if (factor) return factor;
    if (tried >= maximumDamping) {
      throw new TersorError('the second moment of the inputs is not positive semi-definite', {
        code: 'invalid-input',
        remedy: 'calibrate again; if it stays so, report it',
      });
    }
  }
}

/** The unit in which damping is measured: the mean of the diagonal, or 1 where all inputs are zero. */
export function meanDiagonal({ rows, data }: Matrix): number {
  let sum = 0;
  for (let i = 0; i < rows; i++) sum += data[i * rows + i] ?? 0;
  if (!Number.isFinite(sum)) throw notFinite();
  return sum / rows || 1;
}

const notFinite = () =>
  new TersorError('the second moment of the inputs contains NaN or infinity', {
    code: 'invalid-input',
    remedy: 'check the calibration text and the weights of the layers before this one',
  });

interface CholeskyOptions {
  readonly order: Int32Array;
  readonly scale: number;
  readonly damping: number;
  readonly ridge: number;
  readonly blockSize: number;
}

/**
 * Left-looking by block columns, so that each is computed once: gather A's column, subtract what the columns
 * before give (onnxruntime), factor the square on top and solve the rows below (kernels).
 * @returns undefined when a pivot is not positive
 */
async function cholesky(
  { kernels, gemm }: Tools,
  arena: Arena,
  gram: Matrix,
  { order, scale, damping, ridge, blockSize }: CholeskyOptions,
): Promise<Factor | undefined> {
  const size = gram.rows;
  const gather = blockColumns(kernels, arena, gram, order, scale, blockSize);
  const upper = arena.f32(blockSize * blockSize);
  const inverse = arena.f32(blockSize);
  const work = arena.f64(blockSize * blockSize);
  const columns: Float32Array[] = [];
  const products = [0, 1].map(() => new Float32Array(size > blockSize ? size * blockSize : 0));

  for (let from = 0; from < size; from += blockSize) {
    const width = Math.min(blockSize, size - from);
    const height = size - from;
    const panel = gather(from);
    for (let c = 0; c < width; c++)
      panel[c * (width + 1)] = (1 + ridge) * (panel[c * (width + 1)] ?? 0) + damping;

    const column = panel.slice();
    let rest: Float32Array = column;
    for (const [b, before] of columns.entries()) {
      const tail = { data: before.subarray((from - b * blockSize) * blockSize), shape: [height, blockSize] };
      const head = { data: tail.data.subarray(0, width * blockSize), shape: [width, blockSize] };
      const add = { data: rest, shape: [height, width] };
      const into = products[b % 2]?.subarray(0, column.length) as Float32Array;
      rest = await gemm(tail, head, { transposeB: true, alpha: -1, add, into });
    }
    if (columns.length > 0) panel.set(rest);
    if (kernels.call('factorSquare', { block: panel, width, upper, inverse, work }) >= 0) return undefined;
    const below = panel.subarray(width * width);
    kernels.parallel('solvePanel', height - width, { panel: below, width, upper, inverse });
    column.set(panel);
    columns.push(column);
  }
  return { size, blockSize, columns, scale, damping };
}

/**
 * Solves Y·Lᵀ = X, row by row of X.
 * @param rows X in the order of the factor and in blocks of its columns, each rows × width; becomes Y
 */
export async function solveRows(
  { kernels, gemm }: Tools,
  { size, blockSize, columns }: Factor,
  rows: readonly Float32Array[],
): Promise<void> {
  const count = (rows[0]?.length ?? 0) / Math.min(blockSize, size);
  const products = [0, 1].map(() => new Float32Array(size > blockSize ? count * blockSize : 0));
  await kernels.scope(async (arena) => {
    const panel = arena.f32(count * Math.min(blockSize, size));
    const square = arena.f32(blockSize ** 2);
    const upper = arena.f32(blockSize ** 2);
    const inverse = arena.f32(blockSize);
    for (const [b, own] of rows.entries()) {
      const width = own.length / count;
      let rest = own;
      for (const [c, before] of columns.slice(0, b).entries()) {
        const from = (b - c) * blockSize * blockSize;
        const factor = { data: before.subarray(from, from + width * blockSize), shape: [width, blockSize] };
        const solved = { data: rows[c] as Float32Array, shape: [count, blockSize] };
        const add = { data: rest, shape: [count, width] };
        const into = products[c % 2]?.subarray(0, own.length) as Float32Array;
        rest = await gemm(solved, factor, { transposeB: true, alpha: -1, add, into });
      }
      panel.set(rest);
      square.set((columns[b] as Float32Array).subarray(0, width * width));
      kernels.call('prepareSolve', { square, width, upper, inverse });
      kernels.parallel('solvePanel', count, { panel, width, upper, inverse });
      own.set(panel.subarray(0, own.length));
    }
  });
}

/**
 * Cuts a symmetric matrix in a new order, divided by `scale`, into block columns from the diagonal down:
 * columns [from, from + blockSize) of positions [from, size), row after row, valid until the next call.
 */
export function blockColumns(
  kernels: Kernels,
  arena: Arena,
  { rows: size, data }: Matrix,
  order: Int32Array,
  scale: number,
  blockSize: number,
): (from: number) => Float32Array {
  const rows = arena.f32(Math.min(blockSize, size) * size);
  const panel = arena.f32(rows.length);
  return (from) => {
    const width = Math.min(blockSize, size - from);
    const height = size - from;
    for (let c = 0; c < width; c++) {
      const row = order[from + c] ?? 0;
      rows.set(data.subarray(row * size, (row + 1) * size), c * size);
    }
    if (kernels.call('firstNotFinite', { values: rows, count: width * size }) >= 0) throw notFinite();
    const positions = order.subarray(from);
    kernels.parallel('gatherSymmetric', height, {
      out: panel,
      width,
      rows,
      size,
      order: positions,
      scale: 1 / scale,
    });
    return panel.subarray(0, height * width);
  };
}
