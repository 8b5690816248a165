// Sums over the rows of row-major matrices, rows [start, end) of `cols` values each, in double precision.
import { F32Array, F64Array } from '../arrays';

/** sums[row] = (Σ x, Σ x²). */
export function rowMoments(start: i32, end: i32, cols: i32, values: F32Array, sums: F64Array): void {
  for (let row = start; row < end; row++) {
    let at = values + ((<usize>row * <usize>cols) << 2);
    let sum = f64x2.splat(0);
    let squares = f64x2.splat(0);
    for (let col = 1; col < cols; col += 2, at += 8) {
      const x = f64x2.promote_low_f32x4(v128.load64_zero(at));
      sum = f64x2.add(sum, x);
      squares = f64x2.add(squares, f64x2.mul(x, x));
    }
    const last = cols & 1 ? <f64>load<f32>(at) : 0;
    const into = sums + ((<usize>row) << 4);
    store<f64>(into, lanes(sum) + last);
    store<f64>(into, lanes(squares) + last * last, 8);
  }
}

/** sums[row] = Σ (x − y)². */
export function rowDistances(
  start: i32,
  end: i32,
  cols: i32,
  x: F32Array,
  y: F32Array,
  sums: F64Array,
): void {
  for (let row = start; row < end; row++) {
    let at = (<usize>row * <usize>cols) << 2;
    let squares = f64x2.splat(0);
    for (let col = 1; col < cols; col += 2, at += 8) {
      const difference = f64x2.sub(
        f64x2.promote_low_f32x4(v128.load64_zero(x + at)),
        f64x2.promote_low_f32x4(v128.load64_zero(y + at)),
      );
      squares = f64x2.add(squares, f64x2.mul(difference, difference));
    }
    const last = cols & 1 ? <f64>load<f32>(x + at) - <f64>load<f32>(y + at) : 0;
    store<f64>(sums + ((<usize>row) << 3), lanes(squares) + last * last);
  }
}

@unmanaged
export class RowWeightedDifferences {
  cols: i32;
  x: F32Array;
  y: F32Array;
  d: F32Array;
  squared: bool;
  sums: F64Array;
}

/** sums[row] = Σ d (x − y), or with `squared` Σ d (x − y)². */
export function rowWeightedDifferences(start: i32, end: i32, record: RowWeightedDifferences): void {
  const cols = record.cols;
  const x = record.x;
  const y = record.y;
  const d = record.d;
  const squared = record.squared;
  const sums = record.sums;
  for (let row = start; row < end; row++) {
    const at = (<usize>row * <usize>cols) << 2;
    let sum: f64 = 0;
    for (let col: usize = 0; col < <usize>cols; col++) {
      const here = at + (col << 2);
      const difference = <f64>load<f32>(x + here) - <f64>load<f32>(y + here);
      const weighted = <f64>load<f32>(d + here) * difference;
      sum += squared ? weighted * difference : weighted;
    }
    store<f64>(sums + ((<usize>row) << 3), sum);
  }
}

/** sums[row] = (Σ x y, Σ x²). */
export function rowProducts(start: i32, end: i32, cols: i32, x: F32Array, y: F32Array, sums: F64Array): void {
  for (let row = start; row < end; row++) {
    const at = (<usize>row * <usize>cols) << 2;
    let product: f64 = 0;
    let squares: f64 = 0;
    for (let col: usize = 0; col < <usize>cols; col++) {
      const own = <f64>load<f32>(x + at + (col << 2));
      product += own * <f64>load<f32>(y + at + (col << 2));
      squares += own * own;
    }
    const into = sums + ((<usize>row) << 4);
    store<f64>(into, product);
    store<f64>(into, squares, 8);
  }
}

/** counts[row] = how many values exceed a threshold. */
export function rowExceeding(
  start: i32,
  end: i32,
  cols: i32,
  values: F32Array,
  threshold: f64,
  counts: F64Array,
): void {
  for (let row = start; row < end; row++) {
    const at = values + ((<usize>row * <usize>cols) << 2);
    let count = 0;
    for (let col: usize = 0; col < <usize>cols; col++) {
      count += i32(<f64>load<f32>(at + (col << 2)) > threshold);
    }
    store<f64>(counts + ((<usize>row) << 3), count);
  }
}

/** ranges[row] = (least, largest). */
export function rowRanges(start: i32, end: i32, cols: i32, values: F32Array, ranges: F64Array): void {
  for (let row = start; row < end; row++) {
    const at = values + ((<usize>row * <usize>cols) << 2);
    let least = load<f32>(at);
    let largest = least;
    for (let col: usize = 1; col < <usize>cols; col++) {
      const x = load<f32>(at + (col << 2));
      least = min(least, x);
      largest = max(largest, x);
    }
    const into = ranges + ((<usize>row) << 4);
    store<f64>(into, least);
    store<f64>(into, largest, 8);
  }
}

/**
 * Adds `count` values to a histogram of equal bins of this width from `low` on; what lies beyond goes to the ends.
 */
export function addHistogram(
  values: F32Array,
  count: i32,
  low: f64,
  width: f64,
  bins: i32,
  counts: F64Array,
): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    const place = (<f64>load<f32>(values + (i << 2)) - low) / width;
    const bin = <usize>min(<f64>(bins - 1), max(0, place));
    const into = counts + (bin << 3);
    store<f64>(into, load<f64>(into) + 1);
  }
}

function lanes(pair: v128): f64 {
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}
