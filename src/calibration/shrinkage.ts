import type { Matrix, Moments } from '../types.js';

/**
 * Moments of few tokens are noisy, most of all between inputs that have little to do with each other. (1 − λ) M + λ diag M
 * of the sums M keeps every input's own energy and takes the same share of all else (Schäfer and Strimmer, 2005, target
 * D). Cross moments are treated alike, since an input of the original goes with the same input of the compressed model.
 * @param moments changed in place
 * @param shrinkage λ, from 0 (the sums as they are) to 1
 */
export function shrinkMoments<M extends Moments>(moments: M, shrinkage: number): M {
  if (shrinkage > 0) {
    for (const matrix of [moments.gram, moments.crossMoments])
      if (matrix) shrinkToDiagonal(matrix, shrinkage);
  }
  return { ...moments, shrinkage };
}

function shrinkToDiagonal({ rows, cols, data }: Matrix, shrinkage: number): void {
  const kept = 1 - shrinkage;
  for (let row = 0; row < rows; row++) {
    const diagonal = row * (cols + 1);
    const own = data[diagonal] ?? 0;
    for (let at = row * cols; at < (row + 1) * cols; at++) data[at] = kept * (data[at] ?? 0);
    data[diagonal] = own;
  }
}
