import type { Arena, Kernels } from '../kernels/kernels.js';
import { slabHeight, slabs } from '../kernels/panel.js';
import type { Matrix } from '../types.js';

export interface ValueStatistics {
  readonly mean: number;
  readonly deviation: number;
  /** Σ x². */
  readonly energy: number;
  /** Share of values more than one standard deviation above the mean. */
  readonly outliers: number;
}

/** Statistics over all values of a matrix. */
export async function valueStatistics(kernels: Kernels, matrix: Matrix): Promise<ValueStatistics> {
  const count = matrix.rows * matrix.cols;
  let [sum, energy] = [0, 0];
  const moments: RowKernelCall<[Matrix]> = ({ rows, cols, arrays: [values], sums }) =>
    kernels.parallel('rowMoments', rows, { cols, values, sums });
  await overRows(kernels, [matrix], 2, moments, (own, squares) => {
    sum += own;
    energy += squares;
  });
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, energy / count - mean * mean));
  let outliers = 0;
  const threshold = mean + deviation;
  const exceeding: RowKernelCall<[Matrix]> = ({ rows, cols, arrays: [values], sums }) =>
    kernels.parallel('rowExceeding', rows, { cols, values, threshold, counts: sums });
  await overRows(kernels, [matrix], 1, exceeding, (own) => {
    outliers += own;
  });
  return { mean, deviation, energy, outliers: outliers / count };
}

/** ‖X − Y‖² of two matrices of the same shape. */
export async function squaredDistance(kernels: Kernels, x: Matrix, y: Matrix): Promise<number> {
  let distance = 0;
  const distances: RowKernelCall<[Matrix, Matrix]> = ({ rows, cols, arrays: [x, y], sums }) =>
    kernels.parallel('rowDistances', rows, { cols, x, y, sums });
  await overRows(kernels, [x, y], 1, distances, (own) => {
    distance += own;
  });
  return distance;
}

/** Σ D (X − Y)², for weights D of the squares. */
export const weightedDistance = (kernels: Kernels, x: Matrix, y: Matrix, d: Matrix): Promise<number> =>
  sumDifferences(kernels, [x, y, d], true);

/** Σ D (X − Y). */
export const weightedDifference = (kernels: Kernels, x: Matrix, y: Matrix, d: Matrix): Promise<number> =>
  sumDifferences(kernels, [x, y, d], false);

async function sumDifferences(
  kernels: Kernels,
  matrices: readonly [Matrix, Matrix, Matrix],
  squared: boolean,
): Promise<number> {
  let sum = 0;
  const differences: RowKernelCall<typeof matrices> = ({ rows, cols, arrays: [x, y, d], sums }) =>
    kernels.parallel('rowWeightedDifferences', rows, { cols, x, y, d, squared, sums });
  await overRows(kernels, matrices, 1, differences, (own) => {
    sum += own;
  });
  return sum;
}

/** Σ x y, and Σ x². */
export async function innerProduct(
  kernels: Kernels,
  x: Matrix,
  y: Matrix,
): Promise<{ readonly product: number; readonly squares: number }> {
  let [product, squares] = [0, 0];
  const products: RowKernelCall<[Matrix, Matrix]> = ({ rows, cols, arrays: [x, y], sums }) =>
    kernels.parallel('rowProducts', rows, { cols, x, y, sums });
  await overRows(kernels, [x, y], 2, products, (own, square) => {
    product += own;
    squares += square;
  });
  return { product, squares };
}

/** A matrix of −1 and 1, each as likely as the other, that follows from the seed. */
export async function randomSigns(
  kernels: Kernels,
  rows: number,
  cols: number,
  seed: number,
): Promise<Matrix> {
  const data = new Float32Array(rows * cols);
  await kernels.scope((arena) => {
    const slab = arena.f32(Math.min(rows, slabHeight(cols * 4)) * cols);
    for (const { from, to } of slabs(rows, cols * 4)) {
      kernels.parallel('fillSigns', to - from, { cols, seed, first: from, values: slab });
      data.set(slab.subarray(0, (to - from) * cols), from * cols);
    }
  });
  return { rows, cols, data };
}

/** How many values lie in each of so many equal bins between the least and the largest. */
export async function histogram(kernels: Kernels, matrix: Matrix, bins: number): Promise<Float64Array> {
  let [low, high] = [Infinity, -Infinity];
  const ranges: RowKernelCall<[Matrix]> = ({ rows, cols, arrays: [values], sums }) =>
    kernels.parallel('rowRanges', rows, { cols, values, ranges: sums });
  await overRows(kernels, [matrix], 2, ranges, (least, largest) => {
    low = Math.min(low, least);
    high = Math.max(high, largest);
  });
  // All values equal: any width puts them into one bin.
  const width = (high - low) / bins || 1;
  return kernels.scope((arena) => {
    const counts = arena.f64(bins);
    for (const { rows, arrays } of parts(arena, [matrix])) {
      const [values] = arrays;
      kernels.call('addHistogram', { values, count: rows * matrix.cols, low, width, bins, counts });
    }
    return counts.slice();
  });
}

/** Some rows of several matrices in the kernels' memory. */
interface Part<M extends readonly Matrix[]> {
  readonly rows: number;
  readonly arrays: { readonly [I in keyof M]: Float32Array };
}

/** Calls a kernel that gives doubles per row, into `sums`. */
type RowKernelCall<M extends readonly Matrix[]> = (
  part: Part<M> & { readonly cols: number; readonly sums: Float64Array },
) => void;

/** Calls a kernel that gives `results` doubles per row, and hands them over row by row: sums in the order of rows. */
async function overRows<const M extends readonly Matrix[]>(
  kernels: Kernels,
  matrices: M,
  results: 1 | 2,
  call: RowKernelCall<M>,
  use: (first: number, second: number) => void,
): Promise<void> {
  await kernels.scope((arena) => {
    const cols = matrices[0]?.cols ?? 0;
    const sums = arena.f64(results * slabHeight(cols * 4));
    for (const part of parts(arena, matrices)) {
      call({ ...part, cols, sums });
      for (let row = 0; row < part.rows; row++) use(sums[results * row] ?? 0, sums[results * row + 1] ?? 0);
    }
  });
}

/** The matrices, a slab of rows at a time, in the kernels' memory. */
function* parts<const M extends readonly Matrix[]>(arena: Arena, matrices: M): Generator<Part<M>> {
  const { rows, cols } = matrices[0] ?? { rows: 0, cols: 1 };
  const height = Math.min(rows, slabHeight(cols * 4));
  const arrays = matrices.map(() => arena.f32(height * cols));
  for (const { from, to } of slabs(rows, cols * 4)) {
    for (const [index, { data }] of matrices.entries()) {
      arrays[index]?.set(data.subarray(from * cols, to * cols));
    }
    yield { rows: to - from, arrays: arrays as Part<M>['arrays'] };
  }
}
