// The inner loop of every fit: rounds one group of columns, four rows at a time (one per lane), to the levels of
// a trial scale and offset and sums what a least-squares step needs. All arrays are of vectors.

import { FitLevels, reciprocal, roundUniform, setError, setOffsetSums, setScaleSums } from './sums';
import { evaluateTable } from './table';

/**
 * @param x n vectors, `step` bytes apart
 * @param w n vectors of importances, 16 bytes apart
 */
export function evaluate(levels: FitLevels, x: usize, step: usize, w: usize, n: i32, s: v128, o: v128): void {
  if (levels.count) evaluateTable(levels, x, step, w, n, s);
  else if (levels.affine) evaluateAffine(levels, x, step, w, n, s, o);
  else evaluateUniform(levels, x, step, w, n, s);
}

/** Integers in so small a range that `evaluateCoarsely` can tell trials apart. */
export function isCoarse(levels: FitLevels, n: i32): bool {
  return !levels.count && levels.max - levels.min <= coarseSpread && n <= coarseColumns;
}

// Σ w r² is a difference there, in units of which the rounding of Σ w v² grows with both.
const coarseSpread: f32 = 15;
const coarseColumns: i32 = 256;

// Of the group, with v = x − origin: Σ w, Σ w v and Σ w v².
let origin: v128 = i32x4.splat(0);
let weights: v128 = i32x4.splat(0);
let firstMoment: v128 = i32x4.splat(0);
let secondMoment: v128 = i32x4.splat(0);

/** To be called before `evaluateCoarsely` for every group; `from` is its lowest value or, without offsets, 0. */
export function setMoments(x: usize, step: usize, w: usize, n: i32, from: v128): void {
  let total = f32x4.splat(0);
  let first = f32x4.splat(0);
  let second = f32x4.splat(0);
  const end = w + ((<usize>n) << 4);
  for (; w < end; w += 16, x += step) {
    const weight = v128.load(w);
    const v = f32x4.sub(v128.load(x), from);
    const wv = f32x4.mul(weight, v);
    total = f32x4.add(total, weight);
    first = f32x4.add(first, wv);
    second = f32x4.add(second, f32x4.mul(wv, v));
  }
  origin = from;
  weights = total;
  firstMoment = first;
  secondMoment = second;
}

/** As `evaluate`, in fewer operations: residuals follow from the moments of the group, a little less exactly. */
export function evaluateCoarsely(
  levels: FitLevels,
  x: usize,
  step: usize,
  w: usize,
  n: i32,
  s: v128,
  o: v128,
): void {
  const low = f32x4.splat(levels.min);
  const high = f32x4.splat(levels.max);
  const inverse = reciprocal(s);
  const affine = levels.affine;
  let a = f32x4.splat(0);
  let b = f32x4.splat(0);
  let mixed = f32x4.splat(0);
  const end = w + ((<usize>n) << 4);
  if (affine) {
    for (; w < end; w += 16, x += step) {
      const v = f32x4.sub(v128.load(x), o);
      const l = roundUniform(f32x4.mul(v, inverse), low, high);
      const wl = f32x4.mul(v128.load(w), l);
      a = f32x4.add(a, f32x4.mul(wl, l));
      b = f32x4.add(b, f32x4.mul(wl, v));
      mixed = f32x4.add(mixed, wl);
    }
  } else {
    for (; w < end; w += 16, x += step) {
      const v = v128.load(x);
      const l = roundUniform(f32x4.mul(v, inverse), low, high);
      const wl = f32x4.mul(v128.load(w), l);
      a = f32x4.add(a, f32x4.mul(wl, l));
      b = f32x4.add(b, f32x4.mul(wl, v));
    }
  }
  // Σ w v² and Σ w v, v = x − o.
  const shift = affine ? f32x4.sub(origin, o) : f32x4.splat(0);
  const pull = f32x4.mul(weights, shift);
  const first = f32x4.add(firstMoment, pull);
  const second = f32x4.add(secondMoment, f32x4.mul(shift, f32x4.add(firstMoment, first)));
  const gradient = f32x4.sub(b, f32x4.mul(s, a));
  setScaleSums(f32x4.sub(second, f32x4.mul(s, f32x4.add(b, gradient))), gradient, a);
  if (affine) setOffsetSums(f32x4.sub(first, f32x4.mul(s, mixed)), mixed);
}

/** As `evaluate`, the same to the bit, for who wants to know the error only. */
export function evaluateError(
  levels: FitLevels,
  x: usize,
  step: usize,
  w: usize,
  n: i32,
  s: v128,
  o: v128,
): void {
  if (levels.count) {
    evaluateTable(levels, x, step, w, n, s);
    return;
  }
  const low = f32x4.splat(levels.min);
  const high = f32x4.splat(levels.max);
  const inverse = reciprocal(s);
  const shift = levels.affine ? o : f32x4.splat(0);
  let e = f32x4.splat(0);
  const end = w + ((<usize>n) << 4);
  while (w < end) {
    const v = f32x4.sub(v128.load(x), shift);
    const r = f32x4.sub(v, f32x4.mul(s, roundUniform(f32x4.mul(v, inverse), low, high)));
    e = f32x4.add(e, f32x4.mul(f32x4.mul(v128.load(w), r), r));
    x += step;
    w += 16;
  }
  setError(e);
}

function evaluateUniform(levels: FitLevels, x: usize, step: usize, w: usize, n: i32, s: v128): void {
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
  setScaleSums(e, g, a);
}

function evaluateAffine(levels: FitLevels, x: usize, step: usize, w: usize, n: i32, s: v128, o: v128): void {
  const low = f32x4.splat(levels.min);
  const high = f32x4.splat(levels.max);
  const inverse = reciprocal(s);
  let e = f32x4.splat(0);
  let g1 = f32x4.splat(0);
  let g2 = f32x4.splat(0);
  let a11 = f32x4.splat(0);
  let a12 = f32x4.splat(0);
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
    g1 = f32x4.add(g1, f32x4.mul(wl, r));
    g2 = f32x4.add(g2, wr);
    e = f32x4.add(e, f32x4.mul(wr, r));
    x += step;
    w += 16;
  }
  setScaleSums(e, g1, a11);
  setOffsetSums(g2, a12);
}
