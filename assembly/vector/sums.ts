// The better codebook for given codes (src/solver/vector/sums.ts): sums over the vectors of each codeword, and the
// small linear system of each. Sums are in double precision, since they run over whole layers.
import { F32Array, F64Array, Optional, U16Array } from '../arrays';

@unmanaged
export class AddByCode {
  rows: i32;
  stride: i32;
  d: i32;
  /** The d columns of the panel, one after another. */
  first: F32Array;
  /** M, d × d; without it the identity. */
  metric: Optional<F32Array>;
  scale: F32Array;
  codes: U16Array;
  gradient: F64Array;
  weights: Optional<F64Array>;
}

/**
 * Sums over the rows of one vector, by codeword: gradient[code] += scale · (panel·M) (doubles, k × d), and, unless
 * `weights` is 0, weights[code] += scale² (doubles, k).
 */
export function addByCode(record: AddByCode): void {
  const rows = record.rows;
  const stride = record.stride;
  const d = record.d;
  const first = record.first;
  const metric = record.metric;
  const scale = record.scale;
  const codes = record.codes;
  const gradient = record.gradient;
  const weights = record.weights;
  const column = (<usize>stride) << 2;
  for (let row: usize = 0; row < <usize>rows; row++) {
    const r = <f64>load<f32>(scale + (row << 2));
    const code = <usize>load<u16>(codes + (row << 1));
    const into = gradient + ((code * d) << 3);
    for (let i: usize = 0; i < <usize>d; i++) {
      let sum: f64 = 0;
      if (metric) {
        for (let p: usize = 0; p < <usize>d; p++) {
          const m = load<f32>(metric + ((p * d + i) << 2));
          sum += <f64>load<f32>(first + p * column + (row << 2)) * <f64>m;
        }
      } else sum = load<f32>(first + i * column + (row << 2));
      store<f64>(into + (i << 3), load<f64>(into + (i << 3)) + r * sum);
    }
    if (weights) {
      const weight = weights + (code << 3);
      store<f64>(weight, load<f64>(weight) + r * r);
    }
  }
}

/** curvature[code] += weights[code] · M (doubles, k × d × d), and clears the weights. */
export function addCurvature(
  size: i32,
  d: i32,
  weights: F64Array,
  metric: F32Array,
  curvature: F64Array,
): void {
  const entries = <usize>(d * d);
  for (let code: usize = 0; code < <usize>size; code++) {
    const weight = load<f64>(weights + (code << 3));
    if (weight == 0) continue;
    store<f64>(weights + (code << 3), 0);
    const into = curvature + ((code * entries) << 3);
    for (let e: usize = 0; e < entries; e++) {
      const at = into + (e << 3);
      store<f64>(at, load<f64>(at) + weight * <f64>load<f32>(metric + (e << 2)));
    }
  }
}

@unmanaged
export class SolveByCode {
  d: i32;
  curvature: F64Array;
  factored: bool;
  gradient: F64Array;
  x: F64Array;
}

/**
 * Solves curvature[code] · x = gradient[code] for codewords [start, end) by Cholesky in place of the curvature (or,
 * with `factored`, by the factors that an earlier call left); x = 0 where there are no vectors.
 */
export function solveByCode(start: i32, end: i32, record: SolveByCode): void {
  const d = record.d;
  const curvature = record.curvature;
  const factored = record.factored;
  const gradient = record.gradient;
  const x = record.x;
  for (let code = start; code < end; code++) {
    const a = curvature + ((<usize>(code * d * d)) << 3);
    const g = gradient + ((<usize>(code * d)) << 3);
    const y = x + ((<usize>(code * d)) << 3);
    if (!factored) factorSmall(a, d);
    for (let i = 0; i < d; i++) {
      let sum = load<f64>(g + ((<usize>i) << 3));
      for (let p = 0; p < i; p++) sum -= element(a, d, i, p) * load<f64>(y + ((<usize>p) << 3));
      const pivot = element(a, d, i, i);
      store<f64>(y + ((<usize>i) << 3), pivot > 0 ? sum / pivot : 0);
    }
    for (let i = d - 1; i >= 0; i--) {
      let sum = load<f64>(y + ((<usize>i) << 3));
      for (let p = i + 1; p < d; p++) sum -= element(a, d, p, i) * load<f64>(y + ((<usize>p) << 3));
      const pivot = element(a, d, i, i);
      store<f64>(y + ((<usize>i) << 3), pivot > 0 ? sum / pivot : 0);
    }
  }
}

/** Cholesky factor in the lower triangle; rows without a positive pivot are zero. */
function factorSmall(a: usize, d: i32): void {
  for (let j = 0; j < d; j++) {
    for (let i = j; i < d; i++) {
      let sum = element(a, d, i, j);
      for (let p = 0; p < j; p++) sum -= element(a, d, i, p) * element(a, d, j, p);
      if (i == j) store<f64>(a + ((<usize>(j * d + j)) << 3), sum > 0 ? sqrt<f64>(sum) : 0);
      else {
        const pivot = element(a, d, j, j);
        store<f64>(a + ((<usize>(i * d + j)) << 3), pivot > 0 ? sum / pivot : 0);
      }
    }
  }
}

function element(a: usize, d: i32, i: i32, j: i32): f64 {
  return load<f64>(a + ((<usize>(i * d + j)) << 3));
}
