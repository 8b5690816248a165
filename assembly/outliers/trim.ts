// Sparse outliers beside codes, ŵ = b + s (src/grid/tersor/outliers.ts): which weights of a group to take out so that the
// others fit a grid best.
import { F32Array, F64Array, I32Array, Optional, U8Array } from '../arrays';

@unmanaged
export class TrimColumns {
  /** Panel of `cols` columns; `fitted` likewise. */
  from: F32Array;
  fitted: Optional<F32Array>;
  /** Vectors of four equal lanes, one per column. */
  weights: F32Array;
  stride: i32;
  cols: i32;
  count: i32;
  /** The bit of `marks` (cols × stride) that is set for the columns taken out, and cleared for the others. */
  bit: i32;
  marks: U8Array;
  /** cols × stride, written: x, and where it is taken out what the grid gives (0 without `fitted`). */
  rest: F32Array;
}

/**
 * Marks the `count` columns of every row, rows [start, end), with the largest rounding errors: score w · (x − fitted)², or
 * w · x² without `fitted`. Ties that would be too many stay out.
 */
export function trimColumns(start: i32, end: i32, record: TrimColumns): void {
  const from = record.from;
  const fitted = record.fitted;
  const weights = record.weights;
  const stride = record.stride;
  const cols = record.cols;
  const count = record.count;
  const bit = record.bit;
  const marks = record.marks;
  const rest = record.rest;
  const pitch = (<usize>stride) << 2;
  const limit = i32x4.splat(count);
  for (let lane = (<usize>start) << 2; lane < (<usize>end) << 2; lane += 16) {
    // The smallest bound that at most `count` scores exceed; scores are not negative, so their bits are in order.
    let low = i32x4.splat(-1);
    let high = i32x4.splat(0x7f800000);
    for (let step = 0; step < 31; step++) {
      const middle = i32x4.add(low, i32x4.shr_s(i32x4.sub(high, low), 1));
      let above = i32x4.splat(0);
      for (let col: usize = 0; col < <usize>cols; col++) {
        const score = scoreOf(from, fitted, weights, col, col * pitch + lane);
        above = i32x4.sub(above, i32x4.gt_s(score, middle));
      }
      const fits = i32x4.le_s(above, limit);
      high = v128.bitselect(middle, high, fits);
      low = v128.bitselect(low, middle, fits);
    }
    for (let col: usize = 0; col < <usize>cols; col++) {
      const at = col * pitch + lane;
      const out = i32x4.gt_s(scoreOf(from, fitted, weights, col, at), high);
      const given = fitted ? v128.load(fitted + at) : f32x4.splat(0);
      v128.store(rest + at, v128.bitselect(given, v128.load(from + at), out));
      const own = marks + (at >> 2);
      const flags = load<u32>(own) & ~(<u32>bit * 0x01010101);
      store<u32>(own, flags | (bytesOf(out) & (<u32>bit * 0x01010101)));
    }
  }
}

function scoreOf(from: usize, fitted: usize, weights: usize, col: usize, at: usize): v128 {
  let x = v128.load(from + at);
  if (fitted) x = f32x4.sub(x, v128.load(fitted + at));
  return f32x4.mul(v128.load(weights + (col << 4)), f32x4.mul(x, x));
}

/** A byte of ones or zeros for every lane of a mask. */
function bytesOf(mask: v128): u32 {
  const words = i16x8.narrow_i32x4_s(mask, mask);
  return <u32>i32x4.extract_lane(i8x16.narrow_i16x8_s(words, words), 0);
}

@unmanaged
export class ChooseTrims {
  stride: i32;
  groups: i32;
  choices: i32;
  /** groups × choices × stride. */
  errors: F64Array;
  counts: I32Array;
  price: f64;
  /** groups × stride bytes, written. */
  chosen: U8Array;
  /** Written: Σ counts[chosen] over the groups of every row. */
  totals: F64Array;
}

/** For every group and row the choice k that minimises errors[k] + price · counts[k], rows [start, end). */
export function chooseTrims(start: i32, end: i32, record: ChooseTrims): void {
  const stride = record.stride;
  const groups = record.groups;
  const choices = record.choices;
  const errors = record.errors;
  const counts = record.counts;
  const price = record.price;
  const chosen = record.chosen;
  const totals = record.totals;
  for (let row: usize = start; row < <usize>end; row++) {
    let total: f64 = 0;
    for (let group: usize = 0; group < <usize>groups; group++) {
      let best: f64 = Infinity;
      let choice: usize = 0;
      for (let k: usize = 0; k < <usize>choices; k++) {
        const error = load<f64>(errors + (((group * choices + k) * stride + row) << 3));
        const cost = error + price * <f64>load<i32>(counts + (k << 2));
        if (cost < best) {
          best = cost;
          choice = k;
        }
      }
      store<u8>(chosen + group * stride + row, <u8>choice);
      total += <f64>load<i32>(counts + (choice << 2));
    }
    store<f64>(totals + (row << 3), total);
  }
}

@unmanaged
export class TakeTrims {
  stride: i32;
  cols: i32;
  groupSize: i32;
  chosen: U8Array;
  marks: U8Array;
}

/** Leaves of the marks (cols × stride bytes) whether the bit of the group's choice is set: 1 or 0. */
export function takeTrims(start: i32, end: i32, record: TakeTrims): void {
  const stride = record.stride;
  const cols = record.cols;
  const groupSize = record.groupSize;
  const chosen = record.chosen;
  const marks = record.marks;
  for (let col: usize = 0; col < <usize>cols; col++) {
    const group = col / <usize>groupSize;
    for (let row: usize = start; row < <usize>end; row++) {
      const at = marks + col * stride + row;
      store<u8>(at, (load<u8>(at) >> load<u8>(chosen + group * stride + row)) & 1);
    }
  }
}
