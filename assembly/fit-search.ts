// The search for the scale (and offset) of one group, four rows at a time: trial values around those derived from
// the range, each followed by a weighted least-squares step for the codes it gives, then alternating minimisation
// (codes ↔ parameters), then the storable neighbours of the best. Every lane searches on its own.

import { evaluate } from './fit-evaluate';
import { flip, flippedError, flippedOffset, flippedScale, ratio } from './fit-flip';
import * as at from './fit-sums';
import { Levels, sumVectors, thresholds } from './fit-sums';
import { halfStep, storableHalf, storablePower } from './storable';

/** The group that is being searched: n vectors of weights `step` bytes apart, n of importances. */
let levels: Levels = changetype<Levels>(0);
let x: usize = 0;
let step: usize = 0;
let w: usize = 0;
let n: i32 = 0;
/** Σ w */
export let total: v128 = i32x4.splat(0);
/** Room for n vectors of codes; 0: no local search in them. */
let codes: usize = 0;
/** The largest offset allowed: 0 where the format subtracts a non-negative one. */
let offsetBound: v128 = i32x4.splat(0);

let thorough: bool = false;
/** What an ideal must be better than earlier ones: among equal ones the first, the most natural, is kept. */
let slack: v128 = i32x4.splat(0);
const relativeSlack: f32 = 1e-7;
/** Of sums of some hundred terms in single precision. */
const relativeNoise: f32 = 4e-6;

export let bestScale: v128 = i32x4.splat(0);
export let bestOffset: v128 = i32x4.splat(0);
/** Σ w r² of the best, for the codes it was derived from. */
export let bestError: v128 = i32x4.splat(0);

export function setGroup(
  group: Levels,
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
}

function clearBest(): void {
  bestScale = f32x4.splat(0);
  bestOffset = f32x4.splat(0);
  bestError = f32x4.splat(Infinity);
}

function keep(s: v128, o: v128, e: v128): void {
  const better = f32x4.lt(f32x4.add(e, slack), bestError);
  bestScale = v128.bitselect(s, bestScale, better);
  bestOffset = v128.bitselect(o, bestOffset, better);
  bestError = v128.bitselect(e, bestError, better);
}

/** Rounds with (s, o) and keeps the least-squares optimum for these codes if it is the best so far. */
function descend(s: v128, o: v128): void {
  evaluate(levels, x, step, w, n, s, o);
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
function sweep(rounds: i32): void {
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

/**
 * The ideal scale, and offset where the levels are affine.
 * @param bound the largest offset allowed
 * @param careful worth it where the result is stored as it is
 */
export function search(bound: f32, careful: bool): void {
  offsetBound = f32x4.splat(bound);
  thorough = careful;
  clearBest();
  if (levels.affine) searchAffine();
  else searchScale();
}

// Trial scales, as ratios to the one that just represents the largest weight: a dense ladder around 1, and a coarse
// one for groups whose largest weights do not matter.
const ladderStart: f32 = 1.1;
const ladderFactor: f32 = 0.96;
const ladderCount: i32 = 9;
const tailFactor: f32 = 0.8;
const tailCount: i32 = 6;
/** Then steps to both sides of the best, finally so short that about one code changes per step. */
const wideStep: f32 = 0.03;
const fineStep: f32 = 0.1; // relative to the largest level

function searchScale(): void {
  findRange();
  const outer = outerLevel();
  const inner = levels.min + levels.max - outer;
  const extreme = largest();
  setSlack(extreme);
  climb(f32x4.div(extreme, f32x4.splat(outer)));
  if (inner != 0 && inner != -outer) climb(f32x4.div(extreme, f32x4.splat(inner)));
  const fine: f32 = fineStep / Mathf.abs(outer);
  if (fine * 6 < wideStep) aroundBest(wideStep, 3);
  aroundBest(fine, 6);
  aroundBest(fine * 0.3, 2);
  for (let round = 0; round < 2; round++) descend(bestScale, f32x4.splat(0));
}

/** The smallest and largest weights of the group. */
let low: v128 = i32x4.splat(0);
let high: v128 = i32x4.splat(0);

function findRange(): void {
  low = v128.load(x);
  high = low;
  for (let j = 1, p = x + step; j < n; j++, p += step) {
    const v = v128.load(p);
    low = f32x4.pmin(low, v);
    high = f32x4.pmax(high, v);
  }
}

/** Relative to the squares of weights of this size, summed. */
function setSlack(size: v128): void {
  slack = f32x4.mul(f32x4.mul(f32x4.mul(size, size), total), f32x4.splat(relativeSlack));
}

/** The weights largest in size. */
function largest(): v128 {
  return v128.bitselect(low, high, f32x4.gt(f32x4.neg(low), high));
}

/** The level largest in size. */
function outerLevel(): f32 {
  return -levels.min > levels.max ? levels.min : levels.max;
}

function aroundBest(distance: f32, count: i32): void {
  const centre = bestScale;
  for (let i = -count; i <= count; i++) {
    if (i) descend(f32x4.mul(centre, f32x4.splat(1 + distance * <f32>i)), f32x4.splat(0));
  }
}

function climb(base: v128): void {
  let factor = ladderStart;
  for (let i = 0; i < ladderCount + tailCount; i++) {
    descend(f32x4.mul(base, f32x4.splat(factor)), f32x4.splat(0));
    factor *= i < ladderCount ? ladderFactor : tailFactor;
  }
}

function searchAffine(): void {
  findRange();
  const start = f32x4.pmin(low, offsetBound);
  const range = f32x4.sub(high, start);
  setSlack(range);
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 4; j++) tryEnds(start, range, clip(i), clip(j));
  }
  // With few levels the error is smooth enough for a coarser search.
  aroundEnds(levels.max - levels.min < 4 ? 1 : 3, 0.4);
  aroundEnds(1, 0.2);
  aroundEnds(1, 0.1);
  if (thorough) {
    aroundEnds(2, 1.5);
    aroundEnds(1, 0.3);
  }
  sweep(2);
}

/** Trial ranges around the best, whose ends differ by up to `reach` times `distance` levels. */
function aroundEnds(reach: i32, distance: f32): void {
  const spread = levels.max - levels.min;
  const s = bestScale;
  const start = f32x4.add(bestOffset, f32x4.mul(s, f32x4.splat(levels.min)));
  const range = f32x4.mul(s, f32x4.splat(spread));
  const move = distance / spread;
  for (let i = -reach; i <= reach; i++) {
    for (let j = -reach; j <= reach; j++) {
      if (i || j) tryEnds(start, range, move * <f32>i, move * <f32>j);
    }
  }
}

/** Shares of the range that are cut off at one end: 0, 8 %, 22 %, 42 %. */
function clip(i: i32): f32 {
  return <f32>0.03 * <f32>(i * i) + <f32>0.05 * <f32>i;
}

/** Lets the levels span [start + a·range, start + (1 − b)·range]. */
function tryEnds(start: v128, range: v128, a: f32, b: f32): void {
  const s = f32x4.mul(range, f32x4.splat((1 - a - b) / (levels.max - levels.min)));
  const first = f32x4.add(start, f32x4.mul(range, f32x4.splat(a)));
  descend(s, f32x4.pmin(offsetBound, f32x4.sub(first, f32x4.mul(s, f32x4.splat(levels.min)))));
}

/** Keeps (s, o), which must be storable, if its own error is the best so far. */
function tryStored(s: v128, o: v128): void {
  evaluate(levels, x, step, w, n, s, o);
  keep(s, o, at.error);
}

/** How many of the outermost levels are tried for the largest weight. */
const exactLevels: i32 = 8;

/**
 * Replaces the best by the best of the halves around it. Groups of few different weights can be represented all
 * but exactly in many ways, which differ in the rounding of the scale: these are tried, too.
 */
export function storeHalf(): void {
  const s = bestScale;
  const o = bestOffset;
  const around = halfStep(s);
  clearBest();
  slack = f32x4.splat(0);
  storeScale(storableHalf(f32x4.sub(s, around)), o);
  storeScale(storableHalf(f32x4.add(s, around)), o);
  if (levels.affine) {
    const below = storableHalf(f32x4.sub(low, halfStep(low)));
    const range = f32x4.sub(high, below);
    tryStored(storableHalf(f32x4.div(range, f32x4.splat(levels.max))), below);
    return;
  }
  const extreme = largest();
  const outer = outerLevel();
  let level = outer;
  for (let i = 0; i < exactLevels && level * outer > 0; i++) {
    tryStored(storableHalf(f32x4.div(extreme, f32x4.splat(level))), f32x4.splat(0));
    level = towardsZero(level, i);
  }
}

/** The level after the i-th from the outermost. */
function towardsZero(level: f32, i: i32): f32 {
  const upwards = level < 0;
  if (!levels.count) return upwards ? level + 1 : level - 1;
  const rise = upwards ? i : levels.count - 2 - i;
  const step = load<f32>(changetype<usize>(levels) + thresholds + ((<usize>rise) << 5) + 16);
  return upwards ? level + step : level - step;
}

function storeScale(s: v128, o: v128): void {
  if (!levels.affine) {
    tryStored(s, o);
    return;
  }
  evaluate(levels, x, step, w, n, s, storableHalf(o));
  const target = f32x4.add(storableHalf(o), ratio(at.gradientOffset, total));
  const around = halfStep(target);
  keep(s, storableHalf(o), at.error);
  tryStored(s, storableHalf(f32x4.sub(target, around)));
  tryStored(s, storableHalf(f32x4.add(target, around)));
}

/** Powers of two that are tried: a group's largest weight may be clipped to an eighth. */
const powerCount: i32 = 6;

/** The best power of two as scale; needs no search. */
export function searchPower(): void {
  clearBest();
  slack = f32x4.splat(0);
  findRange();
  const exact = f32x4.div(f32x4.mul(f32x4.splat(2), largest()), f32x4.splat(outerLevel()));
  let factor: f32 = 1;
  for (let i = 0; i < powerCount; i++, factor *= 0.5) {
    tryStored(storablePower(f32x4.mul(exact, f32x4.splat(factor))), f32x4.splat(0));
  }
}
