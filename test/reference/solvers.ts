// Textbook forms of what src/solver does fast: dense, double precision, one loop per sum.

/** Lower triangular L with A = L·Lᵀ; row-major. */
export function choleskyReference(a: Float64Array, size: number): Float64Array {
  const lower = new Float64Array(size * size);
  const at = (matrix: Float64Array, i: number, j: number) => matrix[i * size + j] ?? Number.NaN;
  for (let j = 0; j < size; j++) {
    for (let i = j; i < size; i++) {
      let sum = at(a, i, j);
      for (let k = 0; k < j; k++) sum -= at(lower, i, k) * at(lower, j, k);
      lower[i * size + j] = i === j ? Math.sqrt(sum) : sum / at(lower, j, j);
    }
  }
  return lower;
}
