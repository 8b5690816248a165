// Scales with whole zero points: value = scale · (code − zero), so that the offset is −scale · zero.

import { halfStep, storableHalf } from '../numbers/storable';
import {
  beginStored,
  bestOffset,
  bestScale,
  high,
  keep,
  levels,
  low,
  probe,
  total,
  tryStored,
} from './group';
import * as at from './sums';
import { ratio, reciprocal } from './sums';

/** Zero points tried to each side of the ideal one. */
const reach: i32 = 2;

// Trial scales, as ratios to the one whose levels just reach all weights; then steps to both sides of the best.
const ladderStart: f32 = 1.05;
const ladderFactor: f32 = 0.95;
const ladderCount: i32 = 14;
const tailFactor: f32 = 0.9;
const tailCount: i32 = 8;
const fineStep: f32 = 0.15; // relative to the largest level
const fineCount: i32 = 4;

/** The lowest zero point that can be stored. */
let lowest: f32 = 0;

/**
 * Replaces the best scale and offset by the best whole zero point around it, with a half scale.
 * @param from the lowest zero point that can be stored
 */
export function storeZeroPoint(from: f32): void {
  lowest = from;
  const s = bestScale;
  const ideal = zeroPoint();
  beginStored();
  for (let move = -reach; move <= reach; move++) {
    const zero = clamp(f32x4.add(ideal, f32x4.splat(<f32>move)));
    descendAt(s, zero);
    let trial = f32x4.mul(covering(zero), f32x4.splat(ladderStart));
    for (let i = 0; i < ladderCount + tailCount; i++) {
      descendAt(trial, zero);
      trial = f32x4.mul(trial, f32x4.splat(i < ladderCount ? ladderFactor : tailFactor));
    }
  }
  const zero = zeroPoint();
  for (let i = -fineCount; i <= fineCount; i++) {
    descendAt(f32x4.mul(bestScale, f32x4.splat(1 + (fineStep / levels.max) * <f32>i)), zero);
  }
  const best = bestScale;
  const around = halfStep(best);
  beginStored();
  tryStoredScale(storableHalf(f32x4.sub(best, around)), zero);
  tryStoredScale(storableHalf(f32x4.add(best, around)), zero);
}

/** Of the best scale and offset. */
function zeroPoint(): v128 {
  return f32x4.nearest(f32x4.neg(f32x4.mul(bestOffset, reciprocal(bestScale))));
}

/** Rounds, and keeps the scale that is best for these codes: the offset follows it along −s · zero. */
function descendAt(s: v128, zero: v128): void {
  probe(s, f32x4.neg(f32x4.mul(s, zero)));
  const slope = f32x4.sub(at.gradientScale, f32x4.mul(zero, at.gradientOffset));
  const mixed = f32x4.mul(f32x4.mul(f32x4.splat(2), zero), at.curvatureMixed);
  const square = f32x4.mul(f32x4.mul(zero, zero), total);
  const move = ratio(slope, f32x4.add(f32x4.sub(at.curvatureScale, mixed), square));
  const moved = f32x4.add(s, move);
  keep(moved, f32x4.neg(f32x4.mul(moved, zero)), f32x4.sub(at.error, f32x4.mul(move, slope)));
}

/** The scale whose levels reach from the smallest to the largest weight. */
function covering(zero: v128): v128 {
  const above = f32x4.mul(high, reciprocal(f32x4.sub(f32x4.splat(levels.max), zero)));
  const below = f32x4.neg(f32x4.mul(low, reciprocal(zero)));
  // Where there is no level on a side, weights on it cannot be reached.
  const bounded = f32x4.lt(zero, f32x4.splat(levels.max));
  const upper = v128.bitselect(above, below, bounded);
  return f32x4.pmax(upper, v128.and(below, f32x4.gt(zero, f32x4.splat(0))));
}

function tryStoredScale(s: v128, zero: v128): void {
  tryStored(s, f32x4.neg(f32x4.mul(s, zero)));
}

function clamp(zero: v128): v128 {
  return f32x4.pmin(f32x4.splat(levels.max), f32x4.pmax(f32x4.splat(lowest), zero));
}
