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
  await overRows(kernels, [matrix], 'rowMoments', 2, [], (own, squares) => {
    sum += own;
    energy += squares;
  });
  const mean = sum / count;
  const deviation = Math.sqrt(Math.max(0, energy / count - mean * mean));
  let outliers = 0;
  await overRows(kernels, [matrix], 'rowExceeding', 1, [mean + deviation], (own) => {
    outliers += own;
  });
  return { mean, deviation, energy, outliers: outliers / count };
}

/** ‖X − Y‖² of two matrices of the same shape. */
export async function squaredDistance(kernels: Kernels, x: Matrix, y: Matrix): Promise<number> {
  let distance = 0;
  await overRows(kernels, [x, y], 'rowDistances', 1, [], (own) => {
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
  await overRows(kernels, matrices, 'rowWeightedDifferences', 1, [squared ? 1 : 0], (own) => {
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
  await overRows(kernels, [x, y], 'rowProducts', 2, [], (own, square) => {
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
      kernels.parallel('fillSigns', to - from, cols, seed, from, slab);
      data.set(slab.subarray(0, (to - from) * cols), from * cols);
    }
  });
  return { rows, cols, data };
}

/** How many values lie in each of so many equal bins between the least and the largest. */
export async function histogram(kernels: Kernels, matrix: Matrix, bins: number): Promise<Float64Array> {
  let [low, high] = [Infinity, -Infinity];
  await overRows(kernels, [matrix], 'rowRanges', 2, [], (least, largest) => {
    low = Math.min(low, least);
    high = Math.max(high, largest);
  });
  // All values equal: any width puts them into one bin.
  const width = (high - low) / bins || 1;
  return kernels.scope((arena) => {
    const counts = arena.f64(bins);
    for (const { count, arrays } of parts(arena, [matrix])) {
      kernels.call('addHistogram', arrays[0] ?? 0, count * matrix.cols, low, width, bins, counts);
    }
    return counts.slice();
  });
}

/** Calls a kernel that gives `results` doubles per row, and hands them over row by row: sums in the order of rows. */
async function overRows(
  kernels: Kernels,
  matrices: readonly Matrix[],
  kernel: string,
  results: 1 | 2,
  settings: readonly number[],
  use: (first: number, second: number) => void,
): Promise<void> {
  await kernels.scope((arena) => {
    const cols = matrices[0]?.cols ?? 0;
    const sums = arena.f64(results * slabHeight(cols * 4));
    for (const { count, arrays } of parts(arena, matrices)) {
      kernels.parallel(kernel, count, cols, ...arrays, ...settings, sums);
      for (let row = 0; row < count; row++) use(sums[results * row] ?? 0, sums[results * row + 1] ?? 0);
    }
  });
}

/** The matrices, a slab of rows at a time, in the kernels' memory. */
function* parts(arena: Arena, matrices: readonly Matrix[]) {
  const { rows, cols } = matrices[0] ?? { rows: 0, cols: 1 };
  const height = Math.min(rows, slabHeight(cols * 4));
  const arrays = matrices.map(() => arena.f32(height * cols));
  for (const { from, to } of slabs(rows, cols * 4)) {
    for (const [index, { data }] of matrices.entries()) {
      arrays[index]?.set(data.subarray(from * cols, to * cols));
    }
    yield { count: to - from, arrays };
  }
}
