import type { Arithmetic } from '../graph/arithmetic.js';
import type { Kernels } from '../kernels/kernels.js';
import type { Matrix } from '../types.js';
import { innerProduct, randomSigns } from './statistics.js';

export interface PowerIterationOptions {
  /** Products with the matrix, at most. */
  readonly iterations: number;
  /** Ends when the estimate changes by less than this share. */
  readonly tolerance: number;
  readonly seed: number;
}

export const powerIterationDefaults: PowerIterationOptions = { iterations: 10, tolerance: 0.01, seed: 0 };

/**
 * The eigenvalue of largest magnitude of a symmetric matrix that is known by its products, by power iteration with
 * Rayleigh's quotient (HAWQ: Dong et al., 2019, arXiv:1905.03696).
 *
 * @param multiply the product with a vector of length one, of rows × cols elements; it is told the estimate so far, 0 at
 *   first
 */
export async function topEigenvalue(
  { kernels, arithmetic }: { readonly kernels: Kernels; readonly arithmetic: Arithmetic },
  { rows, cols }: Pick<Matrix, 'rows' | 'cols'>,
  multiply: (vector: Float32Array, estimate: number) => Promise<Float32Array>,
  options: Partial<PowerIterationOptions> = {},
): Promise<number> {
  const { iterations, tolerance, seed } = { ...powerIterationDefaults, ...options };
  const start = await randomSigns(kernels, rows, cols, seed);
  let vector = await arithmetic.scale((rows * cols) ** -0.5, start.data);
  let estimate = 0;
  for (let step = 0; step < iterations; step++) {
    const before = estimate;
    const product = await multiply(vector, estimate);
    const { product: quotient, squares } = await innerProduct(
      kernels,
      { rows, cols, data: product },
      { rows, cols, data: vector },
    );
    estimate = quotient;
    if (squares === 0 || Math.abs(estimate - before) <= tolerance * Math.abs(estimate)) break;
    vector = await arithmetic.scale(squares ** -0.5, product);
  }
  return estimate;
}
