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

/** Inverse of a symmetric positive definite matrix, by solving for every unit vector. */
function inverse(a: Float64Array, size: number): Float64Array {
  const lower = choleskyReference(a, size);
  const result = new Float64Array(size * size);
  const at = (i: number, j: number) => lower[i * size + j] ?? Number.NaN;
  for (let column = 0; column < size; column++) {
    const y = new Float64Array(size);
    for (let i = 0; i < size; i++) {
      let sum = i === column ? 1 : 0;
      for (let k = 0; k < i; k++) sum -= at(i, k) * (y[k] ?? Number.NaN);
      y[i] = sum / at(i, i);
    }
    for (let i = size - 1; i >= 0; i--) {
      let sum = y[i] ?? Number.NaN;
      for (let k = i + 1; k < size; k++) sum -= at(k, i) * (y[k] ?? Number.NaN);
      y[i] = sum / at(i, i);
    }
    for (let i = 0; i < size; i++) result[i * size + column] = y[i] ?? Number.NaN;
  }
  return result;
}

/** Rounds `t` to a value of column `column` in row `row`. */
export type Rounding = (t: number, row: number, column: number) => number;

/**
 * GPTQ as its paper has it (Frantar et al., 2022, algorithm 1): with U the upper Cholesky factor of the inverse
 * of H + damping · mean(diag H) · I, H⁻¹ = Uᵀ·U, every column's error (w − q) / U_jj goes to the columns after it.
 * @param weight rows × cols, row-major
 * @param order columns in the order in which they are rounded
 * @param before called with the current weights when the position is reached, before it is rounded
 */
export function gptqReference(
  weight: Float64Array,
  rows: number,
  gram: Float64Array,
  order: readonly number[],
  damping: number,
  round: Rounding,
  before: (position: number, current: Float64Array) => void = () => {},
): Float64Array {
  const cols = order.length;
  let mean = 0;
  for (let i = 0; i < cols; i++) mean += (gram[i * cols + i] ?? Number.NaN) / cols;
  const damped = Float64Array.from({ length: cols * cols }, (_, at) => {
    const [i, j] = [Math.floor(at / cols), at % cols];
    return (gram[(order[i] ?? 0) * cols + (order[j] ?? 0)] ?? Number.NaN) + (i === j ? damping * mean : 0);
  });
  // The lower factor of H⁻¹ is Uᵀ.
  const lower = choleskyReference(inverse(damped, cols), cols);
  const current = weight.slice();
  const result = new Float64Array(weight.length);
  for (const [i, column] of order.entries()) {
    before(i, current);
    const diagonal = lower[i * cols + i] ?? Number.NaN;
    for (let row = 0; row < rows; row++) {
      const value = current[row * cols + column] ?? Number.NaN;
      const rounded = round(value, row, column);
      result[row * cols + column] = rounded;
      const error = (value - rounded) / diagonal;
      for (const [k, later] of order.entries()) {
        if (k <= i) continue;
        const at = row * cols + later;
        current[at] = (current[at] ?? Number.NaN) - error * (lower[k * cols + i] ?? Number.NaN);
      }
    }
  }
  return result;
}

/** tr(X H Xᵀ); X is rows × cols, row-major. */
export function energyReference(x: Float64Array, rows: number, gram: Float64Array): number {
  const cols = x.length / rows;
  let total = 0;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < cols; i++) {
      let sum = 0;
      for (let j = 0; j < cols; j++)
        sum += (gram[i * cols + j] ?? Number.NaN) * (x[row * cols + j] ?? Number.NaN);
      total += sum * (x[row * cols + i] ?? Number.NaN);
    }
  }
  return total;
}
