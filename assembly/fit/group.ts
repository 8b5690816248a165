// The search of one group's scale and offset, four rows at a time, every lane on its own: what is searched, the best
// so far, and the steps that improve it.

import { evaluate, evaluateCoarsely, evaluateError, isCoarse, setMoments } from './evaluate';
import { flip, flippedError, flippedOffset, flippedScale } from './flip';
import * as at from './sums';
import { FitLevels, ratio, sumVectors } from './sums';

/** The group that is being searched: n vectors of weights `step` bytes apart, n of importances. */
export let levels: FitLevels = changetype<FitLevels>(0);
let x: usize = 0;
let step: usize = 0;
let w: usize = 0;
let n: i32 = 0;

/** Σ w */
export let total: v128 = i32x4.splat(0);

/** Room for n vectors of codes; 0: no local search in them. */
let codes: usize = 0;

/** The largest offset allowed: 0 where the format subtracts a non-negative one. */
export let offsetBound: v128 = i32x4.splat(0);

/** Are trials evaluated coarsely? */
let coarse: bool = false;

/** What an ideal must be better than earlier ones: among equal ones the first, the most natural, is kept. */
let slack: v128 = i32x4.splat(0);
const relativeSlack: f32 = 1e-7;

/** Of sums of some hundred terms in single precision. */
const relativeNoise: f32 = 4e-6;
export let bestScale: v128 = i32x4.splat(0);
export let bestOffset: v128 = i32x4.splat(0);

/** Σ w r² of the best, for the codes it was derived from. */
let bestError: v128 = i32x4.splat(0);

/** The smallest and largest weights of the group. */
export let low: v128 = i32x4.splat(0);
export let high: v128 = i32x4.splat(0);

export function setGroup(
  group: FitLevels,
  columns: usize,
  stride: usize,
  importance: usize,
  count: i32,
  room: usize,
): void {
  codes = room;
  levels = group;
  x = columns;
  step = stride;
  w = importance;
  n = count;
  total = sumVectors(w, n);
  low = v128.load(x);
  high = low;
  for (let j = 1, p = x + step; j < n; j++, p += step) {
    const v = v128.load(p);
    low = f32x4.pmin(low, v);
    high = f32x4.pmax(high, v);
  }
}

/** How many times the least error one must be to end a ladder: clipping only gets worse from there. */
const hopelessFactor: f32 = 8;

/** Was the last trial far from the best in all four rows? */
export function hopeless(): bool {
  const bound = f32x4.mul(bestError, f32x4.splat(hopelessFactor));
  return i32x4.all_true(f32x4.gt(at.error, bound));
}

/** The weights largest in size. */
export function largest(): v128 {
  return v128.bitselect(low, high, f32x4.gt(f32x4.neg(low), high));
}

/** The level largest in size. */
export function outerLevel(): f32 {
  return -levels.min > levels.max ? levels.min : levels.max;
}

/**
 * Begins a search for ideal parameters.
 * @param bound the largest offset allowed
 * @param size of the weights, which tells what error is negligible
 */
export function beginIdeal(bound: v128, size: v128): void {
  offsetBound = bound;
  slack = f32x4.mul(f32x4.mul(f32x4.mul(size, size), total), f32x4.splat(relativeSlack));
  clearBest();
  coarse = isCoarse(levels, n);
  if (coarse) setMoments(x, step, w, n, levels.affine ? low : f32x4.splat(0));
}

/** Ends coarse evaluation: from here on errors are exact, that of the best so far included. */
export function settleBest(): void {
  if (!coarse) return;
  coarse = false;
  const s = bestScale;
  const o = bestOffset;
  clearBest();
  descend(s, o);
}

/** Begins a search among storable parameters. */
export function beginStored(): void {
  slack = f32x4.splat(0);
  clearBest();
}

function clearBest(): void {
  bestScale = f32x4.splat(0);
  bestOffset = f32x4.splat(0);
  bestError = f32x4.splat(Infinity);
}

/** Keeps (s, o) if its error is less than that of the best so far. */
export function keep(s: v128, o: v128, e: v128): void {
  const better = f32x4.lt(f32x4.add(e, slack), bestError);
  bestScale = v128.bitselect(s, bestScale, better);
  bestOffset = v128.bitselect(o, bestOffset, better);
  bestError = v128.bitselect(e, bestError, better);
}

/** Rounds with (s, o) and keeps the least-squares optimum for these codes if it is the best so far. */
export function descend(s: v128, o: v128): void {
  if (coarse) evaluateCoarsely(levels, x, step, w, n, s, o);
  else evaluate(levels, x, step, w, n, s, o);
  // What is left is a difference; where it is small against its terms, their rounding must not look like progress.
  const error = f32x4.mul(at.error, f32x4.splat(1 + relativeNoise));
  const g1 = at.gradientScale;
  const a11 = at.curvatureScale;
  if (!levels.affine) {
    const move = ratio(g1, a11);
    keep(f32x4.add(s, move), o, f32x4.sub(error, f32x4.mul(move, g1)));
    return;
  }
  const g2 = at.gradientOffset;
  const a12 = at.curvatureMixed;
  const a22 = total;
  const full = f32x4.mul(a11, a22);
  const mixed = f32x4.mul(a12, a12);
  // Where all codes are the same the scale is undetermined and stays.
  const determined = f32x4.gt(f32x4.sub(full, mixed), f32x4.mul(f32x4.splat(singular), full));
  const determinant = v128.and(f32x4.sub(full, mixed), determined);
  const free = ratio(f32x4.sub(f32x4.mul(a11, g2), f32x4.mul(a12, g1)), determinant);
  const room = f32x4.sub(offsetBound, o);
  const moveOffset = f32x4.pmin(v128.bitselect(free, ratio(g2, a22), determined), room);
  const moveScale = v128.and(
    ratio(f32x4.sub(g1, f32x4.mul(a12, moveOffset)), a11),
    v128.or(determined, f32x4.eq(moveOffset, room)),
  );
  const linear = f32x4.add(f32x4.mul(g1, moveScale), f32x4.mul(g2, moveOffset));
  const quadratic = f32x4.add(
    f32x4.mul(
      moveScale,
      f32x4.add(f32x4.mul(a11, moveScale), f32x4.mul(f32x4.splat(2), f32x4.mul(a12, moveOffset))),
    ),
    f32x4.mul(a22, f32x4.mul(moveOffset, moveOffset)),
  );
  const gain = f32x4.sub(f32x4.mul(f32x4.splat(2), linear), quadratic);
  keep(f32x4.add(s, moveScale), f32x4.add(o, moveOffset), f32x4.sub(error, gain));
}

/** Relative determinant of the normal matrix below which single precision cannot tell scale from offset. */
const singular: f32 = 1e-5;

/** Alternating minimisation and local search from the best; where the offset is at its bound it stays there. */
export function sweep(rounds: i32): void {
  for (let round = 0; round < rounds; round++) {
    descend(bestScale, bestOffset);
    if (!codes) continue;
    flip(levels, x, step, w, n, codes, bestScale, bestOffset, f32x4.lt(bestOffset, offsetBound));
    keep(
      flippedScale,
      f32x4.pmin(flippedOffset, offsetBound),
      v128.bitselect(flippedError, f32x4.splat(Infinity), f32x4.le(flippedOffset, offsetBound)),
    );
  }
  descend(bestScale, bestOffset);
}

/** Keeps (s, o), which must be storable, if its own error is the best so far. */
export function tryStored(s: v128, o: v128): void {
  evaluateError(levels, x, step, w, n, s, o);
  keep(s, o, at.error);
}

/** Rounds with (s, o), for the sums in assembly/fit/sums.ts. */
export function probe(s: v128, o: v128): void {
  evaluate(levels, x, step, w, n, s, o);
}
