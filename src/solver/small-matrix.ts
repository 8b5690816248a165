// Matrices of a few rows, d × d row-major: what a vector of columns costs.

/** d rows from `row` and d columns from `column` of a matrix with `width` columns. */
export function squareAt(
  matrix: Float32Array,
  width: number,
  row: number,
  column: number,
  d: number,
): Float32Array {
  const square = new Float32Array(d * d);
  for (let i = 0; i < d; i++) {
    const start = (row + i) * width + column;
    square.set(matrix.subarray(start, start + d), i * d);
  }
  return square;
}

const at = (matrix: Float32Array, index: number) => matrix[index] ?? 0;

/** L with L·Lᵀ = A, for a positive definite A. */
export function cholesky(a: Float32Array, d: number): Float32Array {
  const lower = new Float32Array(d * d);
  for (let j = 0; j < d; j++)
    for (let i = j; i < d; i++) {
      let sum = at(a, i * d + j);
      for (let p = 0; p < j; p++) sum -= at(lower, i * d + p) * at(lower, j * d + p);
      lower[i * d + j] = i === j ? Math.sqrt(sum) : sum / at(lower, j * d + j);
    }
  return lower;
}

/** L⁻¹ of a lower triangular matrix. */
export function inverseLower(lower: Float32Array, d: number): Float32Array {
  const inverse = new Float32Array(d * d);
  for (let j = 0; j < d; j++)
    for (let i = j; i < d; i++) {
      let sum = i === j ? 1 : 0;
      for (let p = j; p < i; p++) sum -= at(lower, i * d + p) * at(inverse, p * d + j);
      inverse[i * d + j] = sum / at(lower, i * d + i);
    }
  return inverse;
}

/** (L·Lᵀ)⁻¹ = L⁻ᵀ·L⁻¹. */
export function gramInverse(lower: Float32Array, d: number): Float32Array {
  const inverse = inverseLower(lower, d);
  return combine(d, (i, j, p) => at(inverse, p * d + i) * at(inverse, p * d + j));
}

/** L·Lᵀ. */
export function gramOf(lower: Float32Array, d: number): Float32Array {
  return combine(d, (i, j, p) => at(lower, i * d + p) * at(lower, j * d + p));
}

function combine(d: number, term: (i: number, j: number, p: number) => number): Float32Array {
  return Float32Array.from({ length: d * d }, (_, index) => {
    let sum = 0;
    for (let p = 0; p < d; p++) sum += term(Math.floor(index / d), index % d, p);
    return sum;
  });
}
