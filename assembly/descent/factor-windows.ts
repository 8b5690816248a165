// Cholesky factors of H of small sets of columns, for moves of many columns at once (assembly/descent/window.ts).

import { F32Array, F64Array, I32Array } from '../arrays';

/** Added to the diagonal of a window, in units of its mean: what keeps single precision exact enough. */
const windowDamping: f64 = 5e-4;

/** Floats per window: its factor, then the diagonal of L and its inverse. */
export function windowFloats(size: i32): i32 {
  return size * (size + 2);
}

@unmanaged
export class FactorWindows {
  /** H of the block, blockWidth × blockWidth. */
  square: F32Array;
  blockWidth: i32;
  size: i32;
  /** Positions in the block, `size` per window, −1 behind the last. */
  columns: I32Array;
  factors: F32Array;
  /** size² per window. */
  work: F64Array;
}

/**
 * Factors H of windows [start / 16, end / 16). L is stored mirrored: element (i, k) and (k, i) hold L[i, k], i > k.
 */
export function factorWindows(start: i32, end: i32, record: FactorWindows): void {
  const square = record.square;
  const blockWidth = record.blockWidth;
  const size = record.size;
  const columns = record.columns;
  const factors = record.factors;
  const work = record.work;
  for (let window = start >> 4; window < end >> 4; window++) {
    const index = columns + ((<usize>(window * size)) << 2);
    const own = work + ((<usize>window * <usize>(size * size)) << 3);
    const factor = factors + ((<usize>window * <usize>windowFloats(size)) << 2);
    factorWindow(square, blockWidth, size, index, factor, own);
  }
}

function factorWindow(
  square: usize,
  blockWidth: i32,
  size: i32,
  index: usize,
  factor: usize,
  work: usize,
): void {
  let n = 0;
  let mean: f64 = 0;
  while (n < size && load<i32>(index + ((<usize>n) << 2)) >= 0) {
    const at = load<i32>(index + ((<usize>n) << 2));
    mean += <f64>load<f32>(square + ((<usize>at * (blockWidth + 1)) << 2));
    n++;
  }
  const damping = (windowDamping * mean) / <f64>n;
  const diagonals = factor + ((<usize>(size * size)) << 2);
  const inverses = diagonals + ((<usize>size) << 2);
  for (let i = 0; i < n; i++) {
    const row = work + ((<usize>(i * size)) << 3);
    const from = square + ((<usize>load<i32>(index + ((<usize>i) << 2)) * blockWidth) << 2);
    for (let j = 0; j <= i; j++) {
      let sum = <f64>load<f32>(from + ((<usize>load<i32>(index + ((<usize>j) << 2))) << 2));
      const other = work + ((<usize>(j * size)) << 3);
      for (let k: usize = 0; k < (<usize>j) << 3; k += 8) sum -= load<f64>(row + k) * load<f64>(other + k);
      if (i == j) {
        const pivot = Math.sqrt(max(sum + damping, damping));
        store<f64>(row + ((<usize>i) << 3), pivot);
        store<f32>(diagonals + ((<usize>i) << 2), <f32>pivot);
        store<f32>(inverses + ((<usize>i) << 2), pivot > 0 ? <f32>(1 / pivot) : 0);
        continue;
      }
      const pivot = load<f64>(other + ((<usize>j) << 3));
      const value = pivot > 0 ? sum / pivot : 0;
      store<f64>(row + ((<usize>j) << 3), value);
      store<f32>(factor + ((<usize>(i * size + j)) << 2), <f32>value);
      store<f32>(factor + ((<usize>(j * size + i)) << 2), <f32>value);
    }
  }
}
