// Sums, differences and choices over panels, row by row.
import { F32Array, F64Array, U8Array } from '../arrays';

@unmanaged
export class SubtractPanels {
  cols: i32;
  stride: i32;
  x: F32Array;
  y: F32Array;
  difference: F32Array;
}

/** difference = x − y for rows [start, end) of `cols` columns. */
export function subtractPanels(start: i32, end: i32, record: SubtractPanels): void {
  const cols = record.cols;
  const stride = record.stride;
  const x = record.x;
  const y = record.y;
  const difference = record.difference;
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = col * pitch + ((<usize>start) << 2); at < col * pitch + ((<usize>end) << 2); at += 16) {
      v128.store(difference + at, f32x4.sub(v128.load(x + at), v128.load(y + at)));
    }
  }
}

@unmanaged
export class RestoreRows {
  lines: i32;
  stride: i32;
  size: i32;
  lost: U8Array;
  old: U8Array;
  now: U8Array;
}

/**
 * now = old in the rows of [start, end) where `lost` (bytes) is not zero; panels of `lines` lines, `size` bytes
 * each.
 */
export function restoreRows(start: i32, end: i32, record: RestoreRows): void {
  const lines = record.lines;
  const stride = record.stride;
  const size = record.size;
  const lost = record.lost;
  const old = record.old;
  const now = record.now;
  for (let line = 0; line < lines; line++) {
    for (let row = start; row < end; row++) {
      if (!load<u8>(lost + <usize>row)) continue;
      const at = (<usize>line * stride + row) * <usize>size;
      memory.copy(now + at, old + at, <usize>size);
    }
  }
}

@unmanaged
export class AddRowProducts {
  cols: i32;
  stride: i32;
  x: F32Array;
  y: F32Array;
  sums: F64Array;
}

/** sums[row] += Σ over columns of x · y, in double precision, for rows [start, end) of `cols` columns. */
export function addRowProducts(start: i32, end: i32, record: AddRowProducts): void {
  const cols = record.cols;
  const stride = record.stride;
  const x = record.x;
  const y = record.y;
  const sums = record.sums;
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row: usize = start; row < <usize>end; row += 2) {
      const at = col * pitch + (row << 2);
      const into = sums + (row << 3);
      const product = f64x2.mul(
        f64x2.promote_low_f32x4(v128.load64_zero(x + at)),
        f64x2.promote_low_f32x4(v128.load64_zero(y + at)),
      );
      v128.store(into, f64x2.add(v128.load(into), product));
    }
  }
}

@unmanaged
export class AddRowErrors {
  cols: i32;
  stride: i32;
  x: F32Array;
  y: F32Array;
  importance: F32Array;
  errors: F64Array;
}

/** errors[row] += Σ over columns of w (x − y)², in double precision, for rows [start, end). */
export function addRowErrors(start: i32, end: i32, record: AddRowErrors): void {
  const cols = record.cols;
  const stride = record.stride;
  const x = record.x;
  const y = record.y;
  const importance = record.importance;
  const errors = record.errors;
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    const w = f64x2.splat(<f64>load<f32>(importance + (col << 4)));
    for (let row = <usize>start; row < <usize>end; row += 2) {
      const at = col * pitch + (row << 2);
      const into = errors + (row << 3);
      const r = f64x2.promote_low_f32x4(f32x4.sub(v128.load64_zero(x + at), v128.load64_zero(y + at)));
      v128.store(into, f64x2.add(v128.load(into), f64x2.mul(w, f64x2.mul(r, r))));
    }
  }
}

@unmanaged
export class KeepBetterRows {
  lines: i32;
  stride: i32;
  errors: F64Array;
  bestErrors: F64Array;
  candidate: F32Array;
  best: F32Array;
}

/**
 * Copies `lines` lines of a candidate into those of the best, in the rows in which the candidate has the smaller error,
 * and its errors with them, rows [start, end).
 */
export function keepBetterRows(start: i32, end: i32, record: KeepBetterRows): void {
  const lines = record.lines;
  const stride = record.stride;
  const errors = record.errors;
  const bestErrors = record.bestErrors;
  const candidate = record.candidate;
  const best = record.best;
  for (let row = <usize>start; row < <usize>end; row++) {
    const error = load<f64>(errors + (row << 3));
    if (!(error < load<f64>(bestErrors + (row << 3)))) continue;
    store<f64>(bestErrors + (row << 3), error);
    for (let line: usize = 0; line < <usize>lines; line++) {
      const at = (line * stride + row) << 2;
      store<f32>(best + at, load<f32>(candidate + at));
    }
  }
}

@unmanaged
export class SpreadGroupsOfRows {
  cols: i32;
  stride: i32;
  size: i32;
  pitch: i32;
  groups: F32Array;
  lines: F32Array;
}

/**
 * From one number per group of `size` rows and column (groups × pitch) to one per column and row: cols × stride, rows
 * [start, end).
 */
export function spreadGroupsOfRows(start: i32, end: i32, record: SpreadGroupsOfRows): void {
  const cols = record.cols;
  const stride = record.stride;
  const size = record.size;
  const pitch = record.pitch;
  const groups = record.groups;
  const lines = record.lines;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row = start; row < end; row++) {
      const group = <usize>(row / size) * <usize>pitch + col;
      store<f32>(lines + ((col * stride + <usize>row) << 2), load<f32>(groups + (group << 2)));
    }
  }
}

/** Multiplies every column of a panel, rows [start, end), with its factor. */
export function scaleColumns(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  factors: F32Array,
  data: F32Array,
): void {
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    const factor = v128.load32_splat(factors + (col << 2));
    const last = col * pitch + ((<usize>end) << 2);
    for (let at = col * pitch + ((<usize>start) << 2); at < last; at += 16) {
      v128.store(data + at, f32x4.mul(v128.load(data + at), factor));
    }
  }
}

/** y[i] += a·x[i] for i in [start, end), which are multiples of four. */
export function axpy(start: i32, end: i32, a: f32, x: F32Array, y: F32Array): void {
  const factor = f32x4.splat(a);
  for (let i = start; i < end; i += 4) {
    const at = (<usize>i) << 2;
    v128.store(y + at, f32x4.add(v128.load(y + at), f32x4.mul(factor, v128.load(x + at))));
  }
}

@unmanaged
export class AddWeightedSquares {
  cols: i32;
  stride: i32;
  x: F32Array;
  weights: F32Array;
  sums: F64Array;
}

/** sums[row] += Σ over columns of weights · x², in double precision, for rows [start, end) of `cols` columns. */
export function addWeightedSquares(start: i32, end: i32, record: AddWeightedSquares): void {
  const cols = record.cols;
  const stride = record.stride;
  const x = record.x;
  const weights = record.weights;
  const sums = record.sums;
  const pitch = (<usize>stride) << 2;
  for (let col: usize = 0; col < <usize>cols; col++) {
    const weight = f64x2.splat(load<f32>(weights + (col << 2)));
    for (let row: usize = start; row < <usize>end; row += 2) {
      const into = sums + (row << 3);
      const value = f64x2.promote_low_f32x4(v128.load64_zero(x + col * pitch + (row << 2)));
      v128.store(into, f64x2.add(v128.load(into), f64x2.mul(weight, f64x2.mul(value, value))));
    }
  }
}
