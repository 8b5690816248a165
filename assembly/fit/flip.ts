// A local search in the codes of a group of consecutive integers, four rows at a time: each column in turn moves to
// the level on the other side of its weight if that lowers the error that is left after re-solving least squares
// for scale and offset. The sums are updated, not recomputed, so that a sweep costs as much as a few evaluations.
// Alternating minimisation alone stops where no code changes under its own parameters, which is far weaker.
import { FitLevels, ratio, reciprocal, roundUniform } from './sums';

export let flippedScale: v128 = i32x4.splat(0);
export let flippedOffset: v128 = i32x4.splat(0);
export let flippedError: v128 = i32x4.splat(0);

/**
 * @param x n vectors of weights, `step` bytes apart; w importances and `codes` room for n vectors each
 * @param s scale and offset whose rounding is the start
 * @param free lanes (all bits set) in which the offset follows the scale
 */
export function flip(
  levels: FitLevels,
  x: usize,
  step: usize,
  w: usize,
  n: i32,
  codes: usize,
  s: v128,
  o: v128,
  free: v128,
): void {
  const low = f32x4.splat(levels.min);
  const high = f32x4.splat(levels.max);
  const inverse = reciprocal(s);
  const zero = f32x4.splat(0);
  let e = zero;
  let g1 = zero;
  let g2 = zero;
  let a11 = zero;
  let a12 = zero;
  let a22 = zero;
  for (let j = 0, p = x; j < n; j++, p += step) {
    const v = f32x4.sub(v128.load(p), o);
    const weight = v128.load(w + ((<usize>j) << 4));
    const l = roundUniform(f32x4.mul(v, inverse), low, high);
    const r = f32x4.sub(v, f32x4.mul(s, l));
    const wl = f32x4.mul(weight, l);
    const wr = f32x4.mul(weight, r);
    v128.store(codes + ((<usize>j) << 4), l);
    e = f32x4.add(e, f32x4.mul(wr, r));
    g1 = f32x4.add(g1, f32x4.mul(wl, r));
    g2 = f32x4.add(g2, wr);
    a11 = f32x4.add(a11, f32x4.mul(wl, l));
    a12 = f32x4.add(a12, wl);
    a22 = f32x4.add(a22, weight);
  }
  // Without an offset the normal matrix is diagonal and nothing pulls at the offset.
  g2 = v128.and(g2, free);
  a12 = v128.and(a12, free);
  let best = f32x4.sub(e, gain(g1, g2, a11, a12, a22));
  const up = v128.and(f32x4.splat(1), f32x4.gt(s, zero));
  const down = v128.and(f32x4.splat(1), f32x4.lt(s, zero));
  const towards = f32x4.sub(up, down);
  for (let j = 0, p = x; j < n; j++, p += step) {
    const weight = v128.load(w + ((<usize>j) << 4));
    const l = v128.load(codes + ((<usize>j) << 4));
    const r = f32x4.sub(f32x4.sub(v128.load(p), o), f32x4.mul(s, l));
    const side = v128.bitselect(towards, f32x4.neg(towards), f32x4.gt(r, zero));
    const other = f32x4.pmin(high, f32x4.pmax(low, f32x4.add(l, side)));
    const move = f32x4.sub(other, l);
    const wm = f32x4.mul(weight, move);
    const shift = f32x4.mul(s, move);
    const e1 = f32x4.sub(e, f32x4.mul(f32x4.mul(weight, shift), f32x4.sub(f32x4.add(r, r), shift)));
    const h1 = f32x4.add(g1, f32x4.mul(wm, f32x4.sub(r, f32x4.mul(s, other))));
    const h2 = f32x4.sub(g2, v128.and(f32x4.mul(weight, shift), free));
    const b11 = f32x4.add(a11, f32x4.mul(wm, f32x4.add(l, other)));
    const b12 = f32x4.add(a12, v128.and(wm, free));
    const trial = f32x4.sub(e1, gain(h1, h2, b11, b12, a22));
    const better = f32x4.lt(trial, best);
    best = v128.bitselect(trial, best, better);
    e = v128.bitselect(e1, e, better);
    g1 = v128.bitselect(h1, g1, better);
    g2 = v128.bitselect(h2, g2, better);
    a11 = v128.bitselect(b11, a11, better);
    a12 = v128.bitselect(b12, a12, better);
    v128.store(codes + ((<usize>j) << 4), v128.bitselect(other, l, better));
  }
  const determinant = f32x4.sub(f32x4.mul(a11, a22), f32x4.mul(a12, a12));
  flippedScale = f32x4.add(s, ratio(f32x4.sub(f32x4.mul(g1, a22), f32x4.mul(g2, a12)), determinant));
  flippedOffset = f32x4.add(o, ratio(f32x4.sub(f32x4.mul(a11, g2), f32x4.mul(a12, g1)), determinant));
  flippedError = best;
}

/** Relative determinant below which single precision cannot tell scale from offset. */
const singular: f32 = 1e-4;

/** gᵀ A⁻¹ g, or 0 where A is singular. */
function gain(g1: v128, g2: v128, a11: v128, a12: v128, a22: v128): v128 {
  const full = f32x4.mul(a11, a22);
  const determinant = f32x4.sub(full, f32x4.mul(a12, a12));
  const cross = f32x4.mul(f32x4.mul(g1, g2), a12);
  const adjoint = f32x4.sub(
    f32x4.add(f32x4.mul(f32x4.mul(g1, g1), a22), f32x4.mul(f32x4.mul(g2, g2), a11)),
    f32x4.add(cross, cross),
  );
  return v128.and(
    f32x4.div(adjoint, determinant),
    f32x4.gt(determinant, f32x4.mul(f32x4.splat(singular), full)),
  );
}
