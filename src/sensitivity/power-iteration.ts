import type { Arithmetic } from '../graph/arithmetic.js';
import type { Kernels } from '../kernels/kernels.js';
import type { Matrix } from '../types.js';
import { innerProduct, randomSigns } from './statistics.js';

export interface PowerIterationOptions {
  /** Products with the matrix, at most. */
  readonly iterations: number;
  /** Ends when the estimate changes by less than this share. */
  readonly tolerance: number;
  /** Where to start, of any length but 0; random signs where it is absent. */
  readonly start?: Float32Array;
}

export interface Eigenpair {
  readonly value: number;
  /** Of length one. */
  readonly vector: Float32Array;
}

export const powerIterationDefaults: PowerIterationOptions = { iterations: 10, tolerance: 0.01 };

/**
 * The eigenvalue of largest magnitude, and its vector, of a symmetric matrix that is known by its products, by power iteration with
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
): Promise<Eigenpair> {
  const { iterations, tolerance, start } = { ...powerIterationDefaults, ...options };
  const toMatrix = (data: Float32Array): Matrix => ({ rows, cols, data });
  let next = start ?? (await randomSigns(kernels, rows, cols, 0)).data;
  let squares = (await innerProduct(kernels, toMatrix(next), toMatrix(next))).squares;
  let vector = next;
  let value = 0;
  for (let step = 0; step < iterations; step++) {
    const before = value;
    vector = await arithmetic.scale(squares ** -0.5, next);
    next = await multiply(vector, before);
    const found = await innerProduct(kernels, toMatrix(next), toMatrix(vector));
    ({ product: value, squares } = found);
    if (squares === 0 || Math.abs(value - before) <= tolerance * Math.abs(value)) break;
  }
  return { value, vector };
}
