// Sparse outliers beside codes, ŵ = b + s (src/grid/tersor/outliers.ts): which weights of a group to take out so that the
// others fit a grid best.
import { storableHalf } from './storable';

/**
 * Marks the `count` columns of every row, rows [start, end), that a grid damages most: score w · (x − fitted)², or
 * w · x² without `fitted`. Ties that would be too many stay out.
 * @param from panel of `cols` columns; `fitted` likewise, or 0
 * @param weights vectors of four equal lanes, one per column
 * @param bit that is set in `marks` (cols × stride bytes) for the columns taken out, and cleared for the others
 * @param rest cols × stride, written: x, and where it is taken out what the grid gives (0 without `fitted`)
 */
export function trimColumns(
  start: i32,
  end: i32,
  from: usize,
  fitted: usize,
  weights: usize,
  stride: i32,
  cols: i32,
  count: i32,
  bit: i32,
  marks: usize,
  rest: usize,
): void {
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

/**
 * For every group and row the choice k that minimises errors[k] + price · counts[k], rows [start, end).
 * @param errors groups × choices × stride doubles
 * @param chosen groups × stride bytes, written
 * @param totals stride doubles, written: Σ counts[chosen] over the row's groups
 */
export function chooseTrims(
  start: i32,
  end: i32,
  stride: i32,
  groups: i32,
  choices: i32,
  errors: usize,
  counts: usize,
  price: f64,
  chosen: usize,
  totals: usize,
): void {
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

/** Leaves of the marks (cols × stride bytes) whether the bit of the group's choice is set: 1 or 0. */
export function takeTrims(
  start: i32,
  end: i32,
  stride: i32,
  cols: i32,
  groupSize: i32,
  chosen: usize,
  marks: usize,
): void {
  for (let col: usize = 0; col < <usize>cols; col++) {
    const group = col / <usize>groupSize;
    for (let row: usize = start; row < <usize>end; row++) {
      const at = marks + col * stride + row;
      store<u8>(at, (load<u8>(at) >> load<u8>(chosen + group * stride + row)) & 1);
    }
  }
}

/** Where marked, s = the nearest half of w; elsewhere 0. For rows [start, end). */
export function takeOut(
  start: i32,
  end: i32,
  stride: i32,
  cols: i32,
  marks: usize,
  weight: usize,
  outliers: usize,
): void {
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row: usize = start; row < <usize>end; row += 4) {
      const at = col * stride + row;
      const value = v128.and(storableHalf(v128.load(weight + (at << 2))), maskOf(marks + at));
      v128.store(outliers + (at << 2), value);
    }
  }
}

/** values += s where s is not zero, for numbers [start, end): zeros keep their signs. */
export function addOutliers(start: i32, end: i32, outliers: usize, values: usize): void {
  for (let at = (<usize>start) << 2; at < (<usize>end) << 2; at += 16) {
    const s = v128.load(outliers + at);
    const b = v128.load(values + at);
    const there = f32x4.ne(s, f32x4.splat(0));
    v128.store(values + at, v128.bitselect(f32x4.add(b, s), b, there));
  }
}

/** scores[col] = w · Σ over rows of (x − y)² for columns [start, end). */
export function columnLoss(
  start: i32,
  end: i32,
  rows: i32,
  stride: i32,
  x: usize,
  y: usize,
  weights: usize,
  scores: usize,
): void {
  for (let col: usize = start; col < <usize>end; col++) {
    let sum: f64 = 0;
    for (let at = (col * stride) << 2; at < (col * stride + rows) << 2; at += 4) {
      const difference = <f64>(load<f32>(x + at) - load<f32>(y + at));
      sum += difference * difference;
    }
    store<f64>(scores + (col << 3), sum * <f64>load<f32>(weights + (col << 2)));
  }
}

/** How many numbers of a panel are not zero. */
export function countOutliers(panel: usize, rows: i32, stride: i32, cols: i32): i32 {
  let count = 0;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = (col * stride) << 2; at < (col * stride + rows) << 2; at += 4) {
      if (load<f32>(panel + at) != 0) count++;
    }
  }
  return count;
}

/** Lanes of ones where bytes are not zero. */
export function maskOf(bytes: usize): v128 {
  const lanes = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(bytes)));
  return i32x4.gt_s(lanes, i32x4.splat(0));
}

/**
 * Lists the numbers of a panel that are not zero by column and row; positions p = column · rows + row in the coding
 * of Elias (1974) and Fano (1971): the `lowBits` lowest bits of each, and for the rest a bit p >> lowBits places plus
 * its number from the start of `high`. Both are zero before, `low` with eight bytes to spare.
 * @returns how many there are
 */
export function listOutliers(
  panel: usize,
  rows: i32,
  stride: i32,
  cols: i32,
  lowBits: i32,
  low: usize,
  high: usize,
  numbers: usize,
): i32 {
  let count: usize = 0;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row: usize = 0; row < <usize>rows; row++) {
      const value = load<f32>(panel + ((col * stride + row) << 2));
      if (value == 0) continue;
      const position = col * rows + row;
      const bit = count * lowBits;
      const word = low + (bit >> 3);
      const rest = <u64>(position & ((1 << lowBits) - 1));
      store<u64>(word, load<u64>(word) | (rest << (bit & 7)));
      const place = (position >> lowBits) + count;
      store<u8>(high + (place >> 3), load<u8>(high + (place >> 3)) | (1 << (<u8>(place & 7))));
      store<f32>(numbers + (count << 2), value);
      count++;
    }
  }
  return <i32>count;
}

/**
 * The inverse of `listOutliers`, into a zeroed panel.
 * @param highBytes length of `high`
 * @returns false unless there are `count` positions, ascending and inside the panel
 */
export function placeOutliers(
  panel: usize,
  rows: i32,
  stride: i32,
  cols: i32,
  lowBits: i32,
  low: usize,
  high: usize,
  highBytes: i32,
  numbers: usize,
  count: i32,
): bool {
  let place: usize = 0;
  let next: usize = 0;
  const end = (<usize>highBytes) << 3;
  for (let i: usize = 0; i < <usize>count; i++) {
    while (place < end && !((load<u8>(high + (place >> 3)) >> <u8>(place & 7)) & 1)) place++;
    if (place == end) return false;
    const bit = i * lowBits;
    const rest = <usize>((load<u64>(low + (bit >> 3)) >> (bit & 7)) & ((1 << lowBits) - 1));
    const position = ((place - i) << lowBits) | rest;
    if (position < next || position >= <usize>rows * <usize>cols) return false;
    const at = (position / rows) * stride + (position % rows);
    store<f32>(panel + (at << 2), load<f32>(numbers + (i << 2)));
    next = position + 1;
    place++;
  }
  return true;
}
