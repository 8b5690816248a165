// The parts of a blocked Cholesky factorisation that are not large matrix products (src/solver/cholesky.ts).
// A block column of `width` columns is stored row after row: element (k, c) at `k * width + c`.
import { F32Array, F64Array, I32Array } from '../arrays';

// With four rows of two vectors the accumulators fit the registers.
const tileRows: i32 = 4;
const tileColumns: i32 = 8;

// Rows that share what is loaded of Lᵀ.
const stripRows: i32 = 16;

@unmanaged
export class GatherSymmetric {
  out: F32Array;
  width: i32;
  rows: F32Array;
  size: i32;
  order: I32Array;
  scale: f64;
}

/**
 * out[k, c] = scale · rows[c][order[k]] for k in [start, end): one block column of a symmetric matrix in a new
 * order, from the `width` rows of it that the block names. Rows are `size` long.
 */
export function gatherSymmetric(start: i32, end: i32, record: GatherSymmetric): void {
  const out = record.out;
  const width = record.width;
  const rows = record.rows;
  const size = record.size;
  const order = record.order;
  const scale = record.scale;
  // Sixteen positions of every row at a time, so that the scattered writes stay in the cache.
  for (let from = start; from < end; from += 16) {
    const to = min(end, from + 16);
    for (let c = 0; c < width; c++) {
      const row = rows + ((<usize>c * size) << 2);
      for (let k = from; k < to; k++) {
        const value = <f64>load<f32>(row + ((<usize>load<i32>(order + ((<usize>k) << 2))) << 2));
        store<f32>(out + ((<usize>k * width + c) << 2), <f32>(value * scale));
      }
    }
  }
}

/**
 * Factors the top width × width square of a block column in place, A = L·Lᵀ, in double precision; the strict
 * upper triangle becomes zero. `upper` receives Lᵀ in tiles for solvePanel and `inverse` 1 / diag L, both f32;
 * `work` holds width² doubles. Returns the first column whose pivot is not positive and finite, or −1.
 */
export function factorSquare(
  block: F32Array,
  width: i32,
  upper: F32Array,
  inverse: F32Array,
  work: F64Array,
): i32 {
  for (let i = 0; i < width; i++) {
    for (let j = 0; j <= i; j++) {
      store<f64>(work + ((<usize>i * width + j) << 3), <f64>load<f32>(block + ((<usize>i * width + j) << 2)));
    }
  }
  for (let j = 0; j < width; j++) {
    const pivotRow = work + ((<usize>j * width) << 3);
    const own = pivotRow + ((<usize>j) << 3);
    const pivot = load<f64>(own) - dot(pivotRow, pivotRow, j);
    const root = Math.sqrt(pivot);
    // Also false for NaN; the inverse must be finite in single precision too.
    if (!(pivot > 0 && root < Infinity && 1 / root < 1e30)) return j;
    store<f64>(own, root);
    const factor = 1 / root;
    let i = j + 1;
    for (; i + 4 <= width; i += 4) eliminateFour(work, width, i, j, factor);
    for (; i < width; i++) {
      const row = work + ((<usize>i * width) << 3);
      const at = row + ((<usize>j) << 3);
      store<f64>(at, (load<f64>(at) - dot(row, pivotRow, j)) * factor);
    }
  }
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      const value = j <= i ? <f32>load<f64>(work + ((<usize>i * width + j) << 3)) : 0;
      store<f32>(block + ((<usize>i * width + j) << 2), value);
    }
  }
  prepareSolve(block, width, upper, inverse);
  for (let i = 0; i < width; i++)
    store<f32>(inverse + ((<usize>i) << 2), <f32>(1 / load<f64>(work + ((<usize>i * width + i) << 3))));
  return -1;
}

/** What solvePanel reads of a square L: `upper` receives Lᵀ in tiles and `inverse` 1 / diag L. */
export function prepareSolve(square: F32Array, width: i32, upper: F32Array, inverse: F32Array): void {
  for (let i = 0; i < width; i++) {
    for (let j = 0; j < width; j++) {
      const value = load<f32>(square + ((<usize>i * width + j) << 2));
      store<f32>(tileAt(upper, width, i) + ((<usize>j * tileColumns) << 2), value);
    }
    store<f32>(
      inverse + ((<usize>i) << 2),
      <f32>(1.0 / <f64>load<f32>(square + ((<usize>i * width + i) << 2))),
    );
  }
}

function dot(x: usize, y: usize, count: i32): f64 {
  let sums = f64x2.splat(0);
  let k = 0;
  for (; k + 2 <= count; k += 2) {
    const at = (<usize>k) << 3;
    sums = f64x2.add(sums, f64x2.mul(v128.load(x + at), v128.load(y + at)));
  }
  let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  if (k < count) sum += load<f64>(x + ((<usize>k) << 3)) * load<f64>(y + ((<usize>k) << 3));
  return sum;
}

/** Column j of rows i … i + 3, sharing the loads of row j. */
function eliminateFour(work: usize, width: i32, i: i32, j: i32, factor: f64): void {
  const stride = (<usize>width) << 3;
  const y = work + <usize>j * stride;
  const x0 = work + <usize>i * stride;
  const x1 = x0 + stride;
  const x2 = x1 + stride;
  const x3 = x2 + stride;
  let s0 = f64x2.splat(0);
  let s1 = s0;
  let s2 = s0;
  let s3 = s0;
  let k = 0;
  for (; k + 2 <= j; k += 2) {
    const at = (<usize>k) << 3;
    const v = v128.load(y + at);
    s0 = f64x2.add(s0, f64x2.mul(v128.load(x0 + at), v));
    s1 = f64x2.add(s1, f64x2.mul(v128.load(x1 + at), v));
    s2 = f64x2.add(s2, f64x2.mul(v128.load(x2 + at), v));
    s3 = f64x2.add(s3, f64x2.mul(v128.load(x3 + at), v));
  }
  const tail = k < j ? load<f64>(y + ((<usize>k) << 3)) : 0;
  finishEntry(x0, s0, tail, k, j, factor);
  finishEntry(x1, s1, tail, k, j, factor);
  finishEntry(x2, s2, tail, k, j, factor);
  finishEntry(x3, s3, tail, k, j, factor);
}

function finishEntry(row: usize, sums: v128, tail: f64, k: i32, j: i32, factor: f64): void {
  let sum = f64x2.extract_lane(sums, 0) + f64x2.extract_lane(sums, 1);
  if (k < j) sum += load<f64>(row + ((<usize>k) << 3)) * tail;
  const at = row + ((<usize>j) << 3);
  store<f64>(at, (load<f64>(at) - sum) * factor);
}

/** Lᵀ is kept eight columns at a time, so that what a tile needs is one piece: address of (0, column). */
function tileAt(upper: usize, width: i32, column: i32): usize {
  const tile = column / tileColumns;
  return upper + ((<usize>(tile * width * tileColumns + column - tile * tileColumns)) << 2);
}

/**
 * Solves X·Lᵀ = A in place for the rows [start, end) of `panel`, which holds the rows below the square that
 * factorSquare left behind.
 */
export function solvePanel(
  start: i32,
  end: i32,
  panel: F32Array,
  width: i32,
  upper: F32Array,
  inverse: F32Array,
): void {
  for (let from = start; from < end; from += stripRows) {
    const to = min(end, from + stripRows);
    for (let j = 0; j < width; j += tileColumns) {
      let row = from;
      if (j + tileColumns <= width)
        for (; row + tileRows <= to; row += tileRows) solveTile(panel, width, row, j, upper, inverse);
      for (; row < to; row++) solveRow(panel, width, row, j, upper, inverse);
    }
  }
}

/** Columns [j, j + 8) of one row, as far as there are. */
function solveRow(panel: usize, width: i32, row: i32, j: i32, upper: usize, inverse: usize): void {
  const x = panel + ((<usize>row * width) << 2);
  const end = min(j + tileColumns, width);
  for (let column = j; column < end; column++) {
    const u = tileAt(upper, width, column);
    const at = x + ((<usize>column) << 2);
    let value = load<f32>(at);
    for (let m = 0; m < column; m++) {
      value -= load<f32>(x + ((<usize>m) << 2)) * load<f32>(u + ((<usize>(m * tileColumns)) << 2));
    }
    store<f32>(at, value * load<f32>(inverse + ((<usize>column) << 2)));
  }
}

/**
 * Columns [j, j + 8) of four rows: subtract what the columns before give, then go through the triangle of the
 * tile. Row m of Lᵀ is zero before column m, so whole vectors may be updated.
 */
function solveTile(panel: usize, width: i32, row: i32, j: i32, upper: usize, inverse: usize): void {
  const stride = (<usize>width) << 2;
  const x0 = panel + <usize>row * stride;
  const x1 = x0 + stride;
  const x2 = x1 + stride;
  const x3 = x2 + stride;
  const left = (<usize>j) << 2;
  let a0 = v128.load(x0 + left);
  let b0 = v128.load(x0 + left, 16);
  let a1 = v128.load(x1 + left);
  let b1 = v128.load(x1 + left, 16);
  let a2 = v128.load(x2 + left);
  let b2 = v128.load(x2 + left, 16);
  let a3 = v128.load(x3 + left);
  let b3 = v128.load(x3 + left, 16);
  let u = tileAt(upper, width, j);
  for (let at: usize = 0; at < left; at += 4) {
    const ua = v128.load(u);
    const ub = v128.load(u, 16);
    u += tileColumns << 2;
    const v0 = v128.load32_splat(x0 + at);
    a0 = f32x4.sub(a0, f32x4.mul(v0, ua));
    b0 = f32x4.sub(b0, f32x4.mul(v0, ub));
    const v1 = v128.load32_splat(x1 + at);
    a1 = f32x4.sub(a1, f32x4.mul(v1, ua));
    b1 = f32x4.sub(b1, f32x4.mul(v1, ub));
    const v2 = v128.load32_splat(x2 + at);
    a2 = f32x4.sub(a2, f32x4.mul(v2, ua));
    b2 = f32x4.sub(b2, f32x4.mul(v2, ub));
    const v3 = v128.load32_splat(x3 + at);
    a3 = f32x4.sub(a3, f32x4.mul(v3, ua));
    b3 = f32x4.sub(b3, f32x4.mul(v3, ub));
  }
  v128.store(x0 + left, a0);
  v128.store(x0 + left, b0, 16);
  v128.store(x1 + left, a1);
  v128.store(x1 + left, b1, 16);
  v128.store(x2 + left, a2);
  v128.store(x2 + left, b2, 16);
  v128.store(x3 + left, a3);
  v128.store(x3 + left, b3, 16);
  for (let m: usize = left; m < left + ((<usize>tileColumns) << 2); m += 4) {
    const factor = load<f32>(inverse + m);
    const ua = v128.load(u);
    const ub = v128.load(u, 16);
    u += tileColumns << 2;
    for (let x = x0; x <= x3; x += stride) {
      const value = load<f32>(x + m) * factor;
      const splat = f32x4.splat(value);
      v128.store(x + left, f32x4.sub(v128.load(x + left), f32x4.mul(splat, ua)));
      v128.store(x + left, f32x4.sub(v128.load(x + left, 16), f32x4.mul(splat, ub)), 16);
      store<f32>(x + m, value);
    }
  }
}
