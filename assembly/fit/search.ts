// The ideal scale (and offset) of a group: trial values around those derived from the range of the weights, each
// followed by a weighted least-squares step for the codes that it gives. The error is a jagged function of them, so
// the trials are dense around the best; then alternating minimisation (codes ↔ parameters) and a local search.
import {
  beginIdeal,
  bestOffset,
  bestScale,
  descend,
  high,
  hopeless,
  largest,
  levels,
  low,
  offsetBound,
  outerLevel,
  settleBest,
  sweep,
} from './group';

/**
 * The ideal scale, and offset where the levels are affine.
 * @param bound the largest offset allowed
 * @param careful worth it where the result is stored as it is
 */
export function search(bound: f32, careful: bool): void {
  if (levels.affine) searchAffine(bound, careful);
  else searchScale();
}

// Few values, as the scales of a super-block are, have the most jagged error and cost little.
const denseStep: f32 = 0.002;
const denseCount: i32 = 50;

/** The ideal scale of few values. */
export function searchDensely(): void {
  searchScale();
  aroundBest(denseStep, denseCount);
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
  const outer = outerLevel();
  const inner = levels.min + levels.max - outer;
  const extreme = largest();
  beginIdeal(f32x4.splat(0), extreme);
  climb(f32x4.div(extreme, f32x4.splat(outer)));
  if (inner != 0 && inner != -outer) climb(f32x4.div(extreme, f32x4.splat(inner)));
  const fine: f32 = fineStep / Mathf.abs(outer);
  if (fine * 6 < wideStep) aroundBest(wideStep, 3);
  aroundBest(fine, 6);
  aroundBest(fine * 0.3, 2);
  settleBest();
  for (let round = 0; round < 2; round++) descend(bestScale, f32x4.splat(0));
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
    if (hopeless()) break;
    factor *= i < ladderCount ? ladderFactor : tailFactor;
  }
}

function searchAffine(bound: f32, careful: bool): void {
  const start = f32x4.pmin(low, f32x4.splat(bound));
  const range = f32x4.sub(high, start);
  beginIdeal(f32x4.splat(bound), range);
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 4; j++) tryEnds(start, range, clip(i), clip(j));
  }
  // With few levels the error is smooth enough for a coarser search.
  aroundEnds(levels.max - levels.min < 4 ? 1 : 3, 0.4);
  aroundEnds(1, 0.2);
  aroundEnds(1, 0.1);
  if (careful) {
    aroundEnds(2, 1.5);
    aroundEnds(1, 0.3);
  }
  settleBest();
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
