/**
 * Solves A x = b for a symmetric positive definite A by its Cholesky factor, in doubles, for some hundred unknowns:
 * the matrices of a surrogate over measured recipes, not of weights.
 */
export interface Factor {
  readonly size: number;
  /** L of A = L Lᵀ, row-major, size × size; above the diagonal undefined. */
  readonly lower: Float64Array;
}

/** @param matrix row-major, size × size; undefined is returned when it is not positive definite */
export function factorize(matrix: Float64Array, size: number): Factor | undefined {
  const lower = Float64Array.from(matrix);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column <= row; column++) {
      let sum = lower[row * size + column] ?? 0;
      for (let k = 0; k < column; k++) sum -= (lower[row * size + k] ?? 0) * (lower[column * size + k] ?? 0);
      if (row === column) {
        if (!(sum > 0)) return undefined;
        lower[row * size + row] = Math.sqrt(sum);
      } else {
        lower[row * size + column] = sum / (lower[column * size + column] ?? 1);
      }
    }
  }
  return { size, lower };
}

/** L⁻¹ b. */
export function solveLower({ size, lower }: Factor, right: Float64Array): Float64Array {
  const result = Float64Array.from(right);
  for (let row = 0; row < size; row++) {
    let sum = result[row] ?? 0;
    for (let k = 0; k < row; k++) sum -= (lower[row * size + k] ?? 0) * (result[k] ?? 0);
    result[row] = sum / (lower[row * size + row] ?? 1);
  }
  return result;
}

/** A⁻¹ b. */
export function solve(factor: Factor, right: Float64Array): Float64Array {
  const { size, lower } = factor;
  const result = solveLower(factor, right);
  for (let row = size - 1; row >= 0; row--) {
    let sum = result[row] ?? 0;
    for (let k = row + 1; k < size; k++) sum -= (lower[k * size + row] ?? 0) * (result[k] ?? 0);
    result[row] = sum / (lower[row * size + row] ?? 1);
  }
  return result;
}

export function dot(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
}
