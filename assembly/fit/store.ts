// From the ideal scale and offset of a group to the best ones that a format can store.

import { halfStep, storableHalf, storablePower } from '../numbers/storable';
import {
  beginStored,
  bestOffset,
  bestScale,
  high,
  largest,
  levels,
  low,
  outerLevel,
  probe,
  total,
  tryStored,
} from './group';
import * as at from './sums';
import { ratio } from './sums';

/** How many of the outermost levels are tried for the largest weight. */
const exactLevels: i32 = 8;
const exactAffineLevels: f32 = 4;

/**
 * Replaces the best by the best of the halves around it. Groups of few different weights can be represented all
 * but exactly in many ways, which differ in the rounding of the scale: these are tried, too.
 */
export function storeHalf(): void {
  const s = bestScale;
  const o = bestOffset;
  const around = halfStep(s);
  beginStored();
  storeScale(storableHalf(f32x4.sub(s, around)), o);
  storeScale(storableHalf(f32x4.add(s, around)), o);
  if (levels.affine) {
    const side = halfStep(low);
    fitHighest(storableHalf(f32x4.sub(low, side)));
    fitHighest(storableHalf(f32x4.add(low, side)));
    fitHighest(f32x4.splat(0));
  } else fitLargest();
}

/** Scales that put the largest weight on a level exactly, but for their rounding. */
function fitLargest(): void {
  const extreme = largest();
  const outer = outerLevel();
  let level = outer;
  for (let i = 0; i < exactLevels && level * outer > 0; i++) {
    tryStored(storableHalf(f32x4.div(extreme, f32x4.splat(level))), f32x4.splat(0));
    level = towardsZero(level, i);
  }
}

/** The same for the highest weight and an offset, which is the lowest level. */
function fitHighest(offset: v128): void {
  const range = f32x4.sub(high, offset);
  for (let level = levels.max; level > 0 && level > levels.max - exactAffineLevels; level--) {
    tryStored(storableHalf(f32x4.div(range, f32x4.splat(level))), offset);
  }
}

/** The level after the i-th from the outermost. */
function towardsZero(level: f32, i: i32): f32 {
  const upwards = level < 0;
  if (!levels.count) return upwards ? level + 1 : level - 1;
  const rise = upwards ? i : levels.count - 2 - i;
  const step = load<f32>(levels.thresholds + ((<usize>rise) << 5) + 16);
  return upwards ? level + step : level - step;
}

function storeScale(s: v128, o: v128): void {
  if (!levels.affine) {
    tryStored(s, o);
    return;
  }
  const start = storableHalf(o);
  probe(s, start);
  const target = f32x4.add(start, ratio(at.gradientOffset, total));
  const around = halfStep(target);
  tryStored(s, start);
  tryStored(s, storableHalf(f32x4.sub(target, around)));
  tryStored(s, storableHalf(f32x4.add(target, around)));
}

/** Powers of two that are tried: a group's largest weight may be clipped to an eighth. */
const powerCount: i32 = 6;

/** The best power of two as scale; needs no search. */
export function searchPower(): void {
  beginStored();
  const exact = f32x4.div(f32x4.mul(f32x4.splat(2), largest()), f32x4.splat(outerLevel()));
  let factor: f32 = 1;
  for (let i = 0; i < powerCount; i++, factor *= 0.5) {
    tryStored(storablePower(f32x4.mul(exact, f32x4.splat(factor))), f32x4.splat(0));
  }
}
