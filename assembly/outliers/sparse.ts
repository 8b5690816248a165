// The sparse part of ŵ = b + s as a panel.
import { F32Array, F64Array, U8Array } from '../arrays';
import { storableHalf } from '../numbers/storable';

@unmanaged
export class TakeOut {
  stride: i32;
  cols: i32;
  marks: U8Array;
  weight: F32Array;
  outliers: F32Array;
}

/** Where marked, s = the nearest half of w; elsewhere 0. For rows [start, end). */
export function takeOut(start: i32, end: i32, record: TakeOut): void {
  const stride = record.stride;
  const cols = record.cols;
  const marks = record.marks;
  const weight = record.weight;
  const outliers = record.outliers;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row: usize = start; row < <usize>end; row += 4) {
      const at = col * stride + row;
      const value = v128.and(storableHalf(v128.load(weight + (at << 2))), maskOf(marks + at));
      v128.store(outliers + (at << 2), value);
    }
  }
}

/** values += s where s is not zero, for numbers [start, end): zeros keep their signs. */
export function addOutliers(start: i32, end: i32, outliers: F32Array, values: F32Array): void {
  for (let at = (<usize>start) << 2; at < (<usize>end) << 2; at += 16) {
    const s = v128.load(outliers + at);
    const b = v128.load(values + at);
    const there = f32x4.ne(s, f32x4.splat(0));
    v128.store(values + at, v128.bitselect(f32x4.add(b, s), b, there));
  }
}

@unmanaged
export class ColumnLoss {
  rows: i32;
  stride: i32;
  x: F32Array;
  y: F32Array;
  weights: F32Array;
  scores: F64Array;
}

/** scores[col] = w · Σ over rows of (x − y)² for columns [start, end). */
export function columnLoss(start: i32, end: i32, record: ColumnLoss): void {
  const rows = record.rows;
  const stride = record.stride;
  const x = record.x;
  const y = record.y;
  const weights = record.weights;
  const scores = record.scores;
  for (let col: usize = start; col < <usize>end; col++) {
    let sum: f64 = 0;
    for (let at = (col * stride) << 2; at < (col * stride + rows) << 2; at += 4) {
      const difference = <f64>(load<f32>(x + at) - load<f32>(y + at));
      sum += difference * difference;
    }
    store<f64>(scores + (col << 3), sum * <f64>load<f32>(weights + (col << 2)));
  }
}

/** Lanes of ones where bytes are not zero. */
export function maskOf(bytes: usize): v128 {
  const lanes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(bytes)));
  return i32x4.gt_s(lanes, i32x4.splat(0));
}
