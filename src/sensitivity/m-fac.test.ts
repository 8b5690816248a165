import { expect, test } from 'vitest';
import { gemm } from '../../test/fixtures/solver-context.js';
import { normals } from '../../test/reference/random.js';
import { inverseFisher } from './m-fac.js';

/** x of A x = b, by elimination with the largest pivots. */
function solveDense(matrix: Float64Array, b: ArrayLike<number>): number[] {
  const size = b.length;
  const rows = Array.from({ length: size }, (_, row) => [
    ...matrix.subarray(row * size, (row + 1) * size),
    b[row] ?? 0,
  ]);
  for (let col = 0; col < size; col++) {
    const left = rows.splice(col).sort((p, q) => Math.abs(q[col] ?? 0) - Math.abs(p[col] ?? 0));
    rows.push(...left);
    const pivot = rows[col] ?? [];
    for (const [row, values] of rows.entries()) {
      if (row === col) continue;
      const factor = (values[col] ?? 0) / (pivot[col] ?? 1);
      for (let k = col; k <= size; k++) values[k] = (values[k] ?? 0) - factor * (pivot[k] ?? 0);
    }
  }
  return rows.map((values, row) => (values[size] ?? 0) / (values[row] ?? 1));
}

test.each([
  [4, 30, 0.1],
  [12, 40, 1e-3],
  [20, 10, 0.01],
])(
  '%i gradients of %i weights, damping %f: products are those with the dense inverse',
  async (m, d, damping) => {
    const data = normals(m * d, m);
    const x = normals(d, 99);
    const dense = new Float64Array(d * d);
    for (let a = 0; a < d; a++) {
      for (let b = 0; b < d; b++) {
        let sum = a === b ? damping : 0;
        for (let k = 0; k < m; k++) sum += ((data[k * d + a] ?? 0) * (data[k * d + b] ?? 0)) / m;
        dense[a * d + b] = sum;
      }
    }
    const expected = solveDense(dense, x);
    const multiply = await inverseFisher(gemm, { rows: m, cols: d, data }, damping);
    const found = await multiply(x);
    const error = Math.hypot(...expected.map((value, i) => value - (found[i] ?? 0)));
    expect(error / Math.hypot(...expected)).toBeLessThan(1e-4);
  },
);
