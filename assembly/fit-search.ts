// The search for the scale (and offset) of one group, four rows at a time: trial values around those derived from
// the range, each followed by a weighted least-squares step for the codes it gives, then alternating minimisation
// (codes ↔ parameters), then the storable neighbours of the best. Every lane searches on its own.
import * as at from './fit-evaluate';
import { evaluate, Levels } from './fit-evaluate';
import { halfStep, storableHalf, storablePower } from './storable';

/** The group that is being searched: n vectors of weights `step` bytes apart, n of importances. */
let levels: Levels = changetype<Levels>(0);
let x: usize = 0;
let step: usize = 0;
let w: usize = 0;
let n: i32 = 0;
/** The largest offset allowed: 0 where the format subtracts a non-negative one. */
let offsetBound: v128 = i32x4.splat(0);

export let bestScale: v128 = i32x4.splat(0);
export let bestOffset: v128 = i32x4.splat(0);
/** Σ w r² of the best, for the codes it was derived from. */
export let bestError: v128 = i32x4.splat(0);

export function setGroup(group: Levels, columns: usize, stride: usize, importance: usize, count: i32): void {
  levels = group;
  x = columns;
  step = stride;
  w = importance;
  n = count;
}

function clearBest(): void {
  bestScale = f32x4.splat(0);
  bestOffset = f32x4.splat(0);
  bestError = f32x4.splat(Infinity);
}

// @ts-ignore: decorator
@inline
function keep(s: v128, o: v128, e: v128): void {
  const better = f32x4.lt(e, bestError);
  bestScale = v128.bitselect(s, bestScale, better);
  bestOffset = v128.bitselect(o, bestOffset, better);
  bestError = v128.bitselect(e, bestError, better);
}

/** a / b, and 0 where b is not positive. */
// @ts-ignore: decorator
@inline
export function ratio(a: v128, b: v128): v128 {
  return v128.and(f32x4.div(a, b), f32x4.gt(b, f32x4.splat(0)));
}

/** Rounds with (s, o) and keeps the least-squares optimum for these codes if it is the best so far. */
function descend(s: v128, o: v128): void {
  evaluate(levels, x, step, w, n, s, o);
  const g1 = at.gradientScale;
  const a11 = at.curvatureScale;
  if (!levels.affine) {
    const move = ratio(g1, a11);
    keep(f32x4.add(s, move), o, f32x4.sub(at.error, f32x4.mul(move, g1)));
    return;
  }
  const g2 = at.gradientOffset;
  const a12 = at.curvatureMixed;
  const a22 = at.curvatureOffset;
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
    f32x4.mul(moveScale, f32x4.add(f32x4.mul(a11, moveScale), f32x4.mul(f32x4.splat(2), f32x4.mul(a12, moveOffset)))),
    f32x4.mul(a22, f32x4.mul(moveOffset, moveOffset)),
  );
  const gain = f32x4.sub(f32x4.mul(f32x4.splat(2), linear), quadratic);
  keep(f32x4.add(s, moveScale), f32x4.add(o, moveOffset), f32x4.sub(at.error, gain));
}

/** Relative determinant of the normal matrix below which single precision cannot tell scale from offset. */
const singular: f32 = 1e-5;

function alternate(rounds: i32): void {
  for (let round = 0; round < rounds; round++) descend(bestScale, bestOffset);
}

/** The ideal scale, and offset where the levels are affine. `bound` is the largest offset allowed. */
export function search(bound: f32): void {
  offsetBound = f32x4.splat(bound);
  clearBest();
  if (levels.affine) searchAffine();
  else searchScale();
}

// Trial ratios of a scale to the one that just represents the largest weight.
const coarseStart: f32 = 1.1;
const coarseFactor: f32 = 0.87;
const coarseCount: i32 = 12;
const fineCount: i32 = 4;
const fineStep: f32 = 0.026;

function searchScale(): void {
  let low = f32x4.splat(0);
  let high = f32x4.splat(0);
  for (let j = 0, p = x; j < n; j++, p += step) {
    const v = v128.load(p);
    low = f32x4.pmin(low, v);
    high = f32x4.pmax(high, v);
  }
  const down = f32x4.neg(low);
  const isLow = f32x4.gt(down, high);
  const extreme = v128.bitselect(low, high, isLow);
  const outer = max(-levels.min, levels.max);
  const natural: f32 = -levels.min > levels.max ? levels.min : levels.max;
  const opposite: f32 = natural == levels.min ? levels.max : levels.min;
  const base = f32x4.div(extreme, f32x4.splat(natural));
  let factor = coarseStart;
  for (let i = 0; i < coarseCount; i++, factor *= coarseFactor) descend(f32x4.mul(base, f32x4.splat(factor)), f32x4.splat(0));
  if (opposite != 0 && opposite != -natural) {
    const other = f32x4.div(extreme, f32x4.splat(opposite));
    factor = coarseStart;
    for (let i = 0; i < coarseCount; i++, factor *= coarseFactor) descend(f32x4.mul(other, f32x4.splat(factor)), f32x4.splat(0));
  }
  const centre = bestScale;
  for (let i = 1; i <= fineCount; i++) {
    const shift = fineStep * <f32>i;
    descend(f32x4.mul(centre, f32x4.splat(1 + shift)), f32x4.splat(0));
    descend(f32x4.mul(centre, f32x4.splat(1 - shift)), f32x4.splat(0));
  }
  alternate(2);
}

function searchAffine(): void {
  let low = v128.load(x);
  let high = low;
  for (let j = 1, p = x + step; j < n; j++, p += step) {
    const v = v128.load(p);
    low = f32x4.pmin(low, v);
    high = f32x4.pmax(high, v);
  }
  low = f32x4.pmin(low, offsetBound);
  const range = f32x4.sub(high, low);
  // Both ends clipped alike, then each alone.
  tryEnds(low, range, 0, 0);
  tryEnds(low, range, -0.04, -0.04);
  for (let i = 1; i <= 5; i++) {
    const clip = <f32>0.05 * <f32>i;
    tryEnds(low, range, clip, clip);
  }
  let clip: f32 = 0.1;
  for (let i = 0; i < 6; i++) {
    tryEnds(low, range, clip, 0);
    tryEnds(low, range, 0, clip);
    clip = 1 - (1 - clip) * 0.75;
  }
  const spread = f32x4.splat(levels.max - levels.min);
  for (let round = 0; round < 2; round++) {
    const s = bestScale;
    const start = f32x4.add(bestOffset, f32x4.mul(s, f32x4.splat(levels.min)));
    const width = f32x4.mul(s, spread);
    const move: f32 = (round ? 0.3 : 0.6) / (levels.max - levels.min);
    for (let i = -1; i <= 1; i++) {
      for (let j = -1; j <= 1; j++) {
        if (i || j) tryEnds(start, width, move * <f32>i, move * <f32>j);
      }
    }
  }
  alternate(3);
}

/** Lets the levels span [low + a·range, low + (1 − b)·range]. */
function tryEnds(low: v128, range: v128, a: f32, b: f32): void {
  const s = f32x4.mul(range, f32x4.splat((1 - a - b) / (levels.max - levels.min)));
  const start = f32x4.add(low, f32x4.mul(range, f32x4.splat(a)));
  descend(s, f32x4.pmin(offsetBound, f32x4.sub(start, f32x4.mul(s, f32x4.splat(levels.min)))));
}

/** Keeps (s, o), which must be storable, if its own error is the best so far. */
function tryStored(s: v128, o: v128): void {
  evaluate(levels, x, step, w, n, s, o);
  keep(s, o, at.error);
}

/** Replaces the best by the best of the halves around it. */
export function storeHalf(): void {
  const s = bestScale;
  const o = bestOffset;
  const around = halfStep(s);
  clearBest();
  for (let i = -1; i <= 1; i += 2) storeScale(storableHalf(f32x4.add(s, f32x4.mul(around, f32x4.splat(<f32>i)))), o);
}

function storeScale(s: v128, o: v128): void {
  if (!levels.affine) {
    tryStored(s, o);
    return;
  }
  evaluate(levels, x, step, w, n, s, storableHalf(o));
  const target = f32x4.add(storableHalf(o), ratio(at.gradientOffset, at.curvatureOffset));
  const around = halfStep(target);
  keep(s, storableHalf(o), at.error);
  tryStored(s, storableHalf(f32x4.sub(target, around)));
  tryStored(s, storableHalf(f32x4.add(target, around)));
}

/** Replaces the best by the best power of two. */
export function storePower(): void {
  const s = storablePower(bestScale);
  clearBest();
  let factor: f32 = 0.25;
  for (let i = 0; i < 5; i++, factor *= 2) tryStored(storablePower(f32x4.mul(s, f32x4.splat(factor))), f32x4.splat(0));
}
