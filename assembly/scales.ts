// Scales of tersor's own float and power grids: fitting them by trying, and what they are stored as.
import { reciprocal } from './fit-sums';
import { levelOf, nearestCode } from './levels';
import { storableHalf } from './storable';

/**
 * Fits one scale per group of floats for rows [start, end): of the scales that make the group's largest weight so many
 * times `top` the one with the least Σ w (x − nearest value)². For levels so many, or stored scales so few, that a
 * finer search wins nothing.
 * @param importance vectors made by spreadImportance
 * @param top the largest float; `step` its last bit in units of the first; `quantum` the smallest float above zero
 * @param ratios `ratioCount` floats, tried in this order; among equals the first is kept
 * @param stored record of the values a scale may be in units of `unit`; 0: halves
 * @param scales groups × stride, written
 */
export function fitByRatios(
  start: i32,
  end: i32,
  weight: usize,
  stride: i32,
  cols: i32,
  importance: usize,
  groupSize: i32,
  top: f32,
  step: f32,
  quantum: f32,
  ratios: usize,
  ratioCount: i32,
  stored: usize,
  unit: f32,
  scales: usize,
): void {
  const pitch = (<usize>stride) << 2;
  for (let col = 0; col < cols; col += groupSize) {
    const w = importance + ((<usize>col) << 4);
    const line = scales + <usize>(col / groupSize) * pitch;
    for (let lane = (<usize>start) << 2; lane < (<usize>end) << 2; lane += 16) {
      const x = weight + <usize>col * pitch + lane;
      const fitting = f32x4.div(largest(x, pitch, groupSize), f32x4.splat(top));
      let best = f32x4.splat(0);
      let least = f32x4.splat(Infinity);
      for (let i: usize = 0; i < <usize>ratioCount; i++) {
        const scale = storable(f32x4.mul(fitting, v128.load32_splat(ratios + (i << 2))), stored, unit);
        const error = errorOf(x, pitch, w, groupSize, scale, top, step, quantum);
        const better = f32x4.lt(error, least);
        best = v128.bitselect(scale, best, better);
        least = v128.bitselect(error, least, better);
      }
      v128.store(line + lane, best);
    }
  }
}

function largest(x: usize, pitch: usize, count: i32): v128 {
  let result = f32x4.splat(0);
  for (let j: usize = 0; j < <usize>count; j++) {
    result = f32x4.pmax(result, f32x4.abs(v128.load(x + j * pitch)));
  }
  return result;
}

function storable(scale: v128, stored: usize, unit: f32): v128 {
  if (!stored) return storableHalf(scale);
  const u = f32x4.splat(unit);
  return f32x4.mul(u, levelOf(stored, nearestCode(stored, f32x4.div(scale, u))));
}

/** Added and taken away again it rounds floats to whole numbers. */
const roundingConstant: f32 = 12582912; // 1.5 · 2^23

function errorOf(
  x: usize,
  pitch: usize,
  w: usize,
  count: i32,
  scale: v128,
  top: f32,
  step: f32,
  quantum: f32,
): v128 {
  let error = f32x4.splat(0);
  const inverse = reciprocal(scale);
  for (let j: usize = 0; j < <usize>count; j++) {
    const v = f32x4.abs(v128.load(x + j * pitch));
    const u = f32x4.mul(v, inverse);
    const power = v128.and(u, i32x4.splat(0x7f800000));
    const distance = f32x4.pmax(f32x4.splat(quantum), f32x4.mul(power, f32x4.splat(step)));
    const constant = f32x4.mul(distance, f32x4.splat(roundingConstant));
    const level = f32x4.pmin(f32x4.splat(top), f32x4.sub(f32x4.add(u, constant), constant));
    const r = f32x4.sub(v, f32x4.mul(scale, level));
    error = f32x4.add(error, f32x4.mul(v128.load(w + (j << 4)), f32x4.mul(r, r)));
  }
  return error;
}

/** Codes of `groups` lines of scales that are values of the record `stored` times `unit`, rows [start, end). */
export function scalesToCodes(
  start: i32,
  end: i32,
  groups: i32,
  stride: i32,
  stored: usize,
  unit: f32,
  scales: usize,
  codes: usize,
): void {
  const inverse = f32x4.splat(unit);
  for (let group: usize = 0; group < <usize>groups; group++) {
    for (let row = <usize>start; row < <usize>end; row += 4) {
      const at = group * stride + row;
      const code = nearestCode(stored, f32x4.div(v128.load(scales + (at << 2)), inverse));
      const words = i16x8.narrow_i32x4_u(code, code);
      v128.store_lane<u32>(codes + at, i8x16.narrow_i16x8_u(words, words), 0);
    }
  }
}

/** The inverse of scalesToCodes. */
export function codesToScales(
  start: i32,
  end: i32,
  groups: i32,
  stride: i32,
  stored: usize,
  unit: f32,
  codes: usize,
  scales: usize,
): void {
  for (let group: usize = 0; group < <usize>groups; group++) {
    for (let row = <usize>start; row < <usize>end; row += 4) {
      const at = group * stride + row;
      const bytes = v128.load32_zero(codes + at);
      const code = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes));
      v128.store(scales + (at << 2), f32x4.mul(f32x4.splat(unit), levelOf(stored, code)));
    }
  }
}

/** errors[row] += Σ over columns of w (x − y)², in double precision, for rows [start, end). */
export function addRowErrors(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  x: usize,
  y: usize,
  importance: usize,
  errors: usize,
): void {
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

/**
 * Copies `lines` lines of a candidate into those of the best, in the rows in which the candidate has the smaller error,
 * and its errors with them, rows [start, end).
 */
export function keepBetterRows(
  start: i32,
  end: i32,
  lines: i32,
  stride: i32,
  errors: usize,
  bestErrors: usize,
  candidate: usize,
  best: usize,
): void {
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

/** The largest magnitude of `count` floats, a multiple of four. */
export function largestMagnitude(x: usize, count: i32): f32 {
  const all = largest(x, 16, count >> 2);
  return max(
    max(f32x4.extract_lane(all, 0), f32x4.extract_lane(all, 1)),
    max(f32x4.extract_lane(all, 2), f32x4.extract_lane(all, 3)),
  );
}

/**
 * From one number per group of `size` rows and column (groups × pitch) to one per column and row: cols × stride, rows
 * [start, end).
 */
export function spreadGroupsOfRows(
  start: i32,
  end: i32,
  cols: i32,
  stride: i32,
  size: i32,
  pitch: i32,
  groups: usize,
  lines: usize,
): void {
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row = start; row < end; row++) {
      const group = <usize>(row / size) * <usize>pitch + col;
      store<f32>(lines + ((col * stride + <usize>row) << 2), load<f32>(groups + (group << 2)));
    }
  }
}
