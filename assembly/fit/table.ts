// The inner loop of a fit, as in assembly/fit/evaluate.ts, for levels that are a table.
import { FitLevels, reciprocal, setScaleSums } from './sums';

/** Four columns at a time, because the thresholds have to be loaded for each. */
export function evaluateTable(levels: FitLevels, x: usize, step: usize, w: usize, n: i32, s: v128): void {
  const low = f32x4.splat(levels.min);
  const first = levels.thresholds;
  const last = first + ((<usize>levels.count - 1) << 5);
  const inverse = reciprocal(s);
  const none = f32x4.splat(0);
  let e = none;
  let g = none;
  let a = none;
  for (let left = n; left > 0; left -= 4) {
    // Behind the last column: the same once more, without importance.
    const x1 = left > 1 ? x + step : x;
    const x2 = left > 2 ? x1 + step : x;
    const x3 = left > 3 ? x2 + step : x;
    const w0 = v128.load(w);
    const w1 = left > 1 ? v128.load(w, 16) : none;
    const w2 = left > 2 ? v128.load(w, 32) : none;
    const w3 = left > 3 ? v128.load(w, 48) : none;
    const v0 = v128.load(x);
    const v1 = v128.load(x1);
    const v2 = v128.load(x2);
    const v3 = v128.load(x3);
    const u0 = f32x4.mul(v0, inverse);
    const u1 = f32x4.mul(v1, inverse);
    const u2 = f32x4.mul(v2, inverse);
    const u3 = f32x4.mul(v3, inverse);
    let l0 = low;
    let l1 = low;
    let l2 = low;
    let l3 = low;
    if (levels.bytes) {
      const bytes = nearestBytes(levels, u0, u1, u2, u3);
      const below = i16x8.extend_low_i8x16_s(bytes);
      const above = i16x8.extend_high_i8x16_s(bytes);
      l0 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(below));
      l1 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(below));
      l2 = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(above));
      l3 = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(above));
    } else
      for (let at = first; at < last; at += 32) {
        const threshold = v128.load(at);
        const rise = v128.load(at, 16);
        l0 = f32x4.add(l0, v128.and(rise, f32x4.gt(u0, threshold)));
        l1 = f32x4.add(l1, v128.and(rise, f32x4.gt(u1, threshold)));
        l2 = f32x4.add(l2, v128.and(rise, f32x4.gt(u2, threshold)));
        l3 = f32x4.add(l3, v128.and(rise, f32x4.gt(u3, threshold)));
      }
    const r0 = f32x4.sub(v0, f32x4.mul(s, l0));
    const r1 = f32x4.sub(v1, f32x4.mul(s, l1));
    const r2 = f32x4.sub(v2, f32x4.mul(s, l2));
    const r3 = f32x4.sub(v3, f32x4.mul(s, l3));
    const wl0 = f32x4.mul(w0, l0);
    const wl1 = f32x4.mul(w1, l1);
    const wl2 = f32x4.mul(w2, l2);
    const wl3 = f32x4.mul(w3, l3);
    a = sum(a, f32x4.mul(wl0, l0), f32x4.mul(wl1, l1), f32x4.mul(wl2, l2), f32x4.mul(wl3, l3));
    g = sum(g, f32x4.mul(wl0, r0), f32x4.mul(wl1, r1), f32x4.mul(wl2, r2), f32x4.mul(wl3, r3));
    e = sum(
      e,
      f32x4.mul(f32x4.mul(w0, r0), r0),
      f32x4.mul(f32x4.mul(w1, r1), r1),
      f32x4.mul(f32x4.mul(w2, r2), r2),
      f32x4.mul(f32x4.mul(w3, r3), r3),
    );
    x = x3 + step;
    w += 64;
  }
  setScaleSums(e, g, a);
}

function sum(total: v128, a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(total, f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}

// Behind the levels' bytes come vectors of constants: in memory, because engines make constants anew at each use.
/** 1.5 · 2^23: added to a float it leaves the nearest integer in the lowest bits, up to 2^22. */
const integerShift: usize = 16;
const half: usize = 32;
const byteThresholds: usize = 48;

/**
 * The nearest levels of sixteen values as bytes, for tables of at most 16 small integers. Thresholds are integers or
 * halves, so that this is exact: u is beyond t + ½ if it rounds to more than t, beyond t if u + ½ does. Where u
 * exceeds 2^22 levels may be wrong; the error of so small a scale is hopeless anyway.
 */
function nearestBytes(levels: FitLevels, u0: v128, u1: v128, u2: v128, u3: v128): v128 {
  const table = levels.bytes;
  const shift = v128.load(table, integerShift);
  const rise = v128.load(table, half);
  const rounded = toBytes(shift, u0, u1, u2, u3);
  const raised = toBytes(
    shift,
    f32x4.add(u0, rise),
    f32x4.add(u1, rise),
    f32x4.add(u2, rise),
    f32x4.add(u3, rise),
  );
  const first = table + byteThresholds;
  const middle = first + ((<usize>levels.halves) << 4);
  const end = middle + ((<usize>levels.wholes) << 4);
  let code = i8x16.splat(0);
  for (let at = first; at < middle; at += 48) code = i8x16.add(code, passed(rounded, at));
  for (let at = middle; at < end; at += 48) code = i8x16.add(code, passed(raised, at));
  return i8x16.swizzle(v128.load(table), i8x16.neg(code));
}

/** −1 for each of three thresholds that a byte is beyond. */
function passed(bytes: v128, at: usize): v128 {
  return i8x16.add(
    i8x16.add(i8x16.gt_s(bytes, v128.load(at)), i8x16.gt_s(bytes, v128.load(at, 16))),
    i8x16.gt_s(bytes, v128.load(at, 32)),
  );
}

function toBytes(shift: v128, u0: v128, u1: v128, u2: v128, u3: v128): v128 {
  return i8x16.narrow_i16x8_s(
    i16x8.narrow_i32x4_s(i32x4.sub(f32x4.add(u0, shift), shift), i32x4.sub(f32x4.add(u1, shift), shift)),
    i16x8.narrow_i32x4_s(i32x4.sub(f32x4.add(u2, shift), shift), i32x4.sub(f32x4.add(u3, shift), shift)),
  );
}
