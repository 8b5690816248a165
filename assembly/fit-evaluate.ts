// The inner loop of every fit: rounds one group of columns, four rows at a time (one per lane), to the levels of
// a trial scale and offset and sums what a least-squares step needs. All arrays are of vectors.

/** Whose levels: consecutive integers min … max, or `count` ascending values. */
// @ts-ignore: decorator
@unmanaged
export class Levels {
  min: f32 = 0;
  max: f32 = 0;
  /** 0: consecutive integers. */
  count: i32 = 0;
  /** Does the value have an offset? */
  affine: i32 = 0;
  // For a table, from byte 16: (count − 1) × (threshold, step to the next level), each in all four lanes.
}
export const thresholds: usize = 16;

// The sums of the last evaluation: r = x − value, Σ over the columns of the group.
/** Σ w r² */
export let error: v128 = i32x4.splat(0);
/** Σ w l r and Σ w r: minus half the gradient with respect to scale and offset. */
export let gradientScale: v128 = i32x4.splat(0);
export let gradientOffset: v128 = i32x4.splat(0);
/** Σ w l², Σ w l and Σ w: half the second derivatives for fixed codes. */
export let curvatureScale: v128 = i32x4.splat(0);
export let curvatureMixed: v128 = i32x4.splat(0);
export let curvatureOffset: v128 = i32x4.splat(0);

/** 1/s, large but finite where s is zero or subnormal (the sign does not matter where all values are equal). */
export function reciprocal(s: v128): v128 {
  const bound = f32x4.splat(f32.MAX_VALUE);
  return f32x4.pmax(f32x4.neg(bound), f32x4.pmin(bound, f32x4.div(f32x4.splat(1), s)));
}

export function roundUniform(u: v128, low: v128, high: v128): v128 {
  return f32x4.pmin(high, f32x4.pmax(low, f32x4.nearest(u)));
}

/**
 * @param x n vectors, `step` bytes apart
 * @param w n vectors of importances, 16 bytes apart
 */
export function evaluate(levels: Levels, x: usize, step: usize, w: usize, n: i32, s: v128, o: v128): void {
  if (levels.count) evaluateTable(levels, x, step, w, n, s);
  else if (levels.affine) evaluateAffine(levels, x, step, w, n, s, o);
  else evaluateUniform(levels, x, step, w, n, s);
}

function evaluateUniform(levels: Levels, x: usize, step: usize, w: usize, n: i32, s: v128): void {
  const low = f32x4.splat(levels.min);
  const high = f32x4.splat(levels.max);
  const inverse = reciprocal(s);
  let e = f32x4.splat(0);
  let g = f32x4.splat(0);
  let a = f32x4.splat(0);
  const end = w + ((<usize>n) << 4);
  while (w < end) {
    const v = v128.load(x);
    const weight = v128.load(w);
    const l = roundUniform(f32x4.mul(v, inverse), low, high);
    const r = f32x4.sub(v, f32x4.mul(s, l));
    const wl = f32x4.mul(weight, l);
    a = f32x4.add(a, f32x4.mul(wl, l));
    g = f32x4.add(g, f32x4.mul(wl, r));
    e = f32x4.add(e, f32x4.mul(f32x4.mul(weight, r), r));
    x += step;
    w += 16;
  }
  error = e;
  gradientScale = g;
  curvatureScale = a;
}

function evaluateAffine(levels: Levels, x: usize, step: usize, w: usize, n: i32, s: v128, o: v128): void {
  const low = f32x4.splat(levels.min);
  const high = f32x4.splat(levels.max);
  const inverse = reciprocal(s);
  let e = f32x4.splat(0);
  let g1 = f32x4.splat(0);
  let g2 = f32x4.splat(0);
  let a11 = f32x4.splat(0);
  let a12 = f32x4.splat(0);
  let a22 = f32x4.splat(0);
  const end = w + ((<usize>n) << 4);
  while (w < end) {
    const v = f32x4.sub(v128.load(x), o);
    const weight = v128.load(w);
    const l = roundUniform(f32x4.mul(v, inverse), low, high);
    const r = f32x4.sub(v, f32x4.mul(s, l));
    const wl = f32x4.mul(weight, l);
    const wr = f32x4.mul(weight, r);
    a11 = f32x4.add(a11, f32x4.mul(wl, l));
    a12 = f32x4.add(a12, wl);
    a22 = f32x4.add(a22, weight);
    g1 = f32x4.add(g1, f32x4.mul(wl, r));
    g2 = f32x4.add(g2, wr);
    e = f32x4.add(e, f32x4.mul(wr, r));
    x += step;
    w += 16;
  }
  error = e;
  gradientScale = g1;
  gradientOffset = g2;
  curvatureScale = a11;
  curvatureMixed = a12;
  curvatureOffset = a22;
}

/** Four columns at a time, because the thresholds have to be loaded for each. */
function evaluateTable(levels: Levels, x: usize, step: usize, w: usize, n: i32, s: v128): void {
  const low = f32x4.splat(levels.min);
  const first = changetype<usize>(levels) + thresholds;
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
  error = e;
  gradientScale = g;
  curvatureScale = a;
}

function sum(total: v128, a: v128, b: v128, c: v128, d: v128): v128 {
  return f32x4.add(total, f32x4.add(f32x4.add(a, b), f32x4.add(c, d)));
}
