// The inner loop of every fit: rounds one group of columns, four rows at a time (one per lane), to the levels of
// a trial scale and offset and sums what a least-squares step needs. All arrays are of vectors.

import { Levels, reciprocal, roundUniform, setError, setOffsetSums, setScaleSums } from './fit-sums';
import { evaluateTable } from './fit-table';

/**
 * @param x n vectors, `step` bytes apart
 * @param w n vectors of importances, 16 bytes apart
 */
export function evaluate(levels: Levels, x: usize, step: usize, w: usize, n: i32, s: v128, o: v128): void {
  if (levels.count) evaluateTable(levels, x, step, w, n, s);
  else if (levels.affine) evaluateAffine(levels, x, step, w, n, s, o);
  else evaluateUniform(levels, x, step, w, n, s);
}

/** As `evaluate`, the same to the bit, for who wants to know the error only. */
export function evaluateError(
  levels: Levels,
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
  setScaleSums(e, g, a);
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
