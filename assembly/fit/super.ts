// Scales and offsets that are small integers times one half per super-block (K-quants, IQ4_XS), four rows at a
// time. A super-block is first fitted group by group as if its scales were free (`fitGroups`); `project` then finds
// the super-block's scale and the integers from the curvature of each group alone; and `polish` alternates between
// the integers, compared by their true error after rounding again, and a least-squares step for the super-block.

import { storableHalf } from '../numbers/storable';
import { evaluate, evaluateError } from './evaluate';
import { bestOffset, bestScale, setGroup, total } from './group';
import { search, searchDensely } from './search';
import { storeHalf } from './store';
import * as at from './sums';
import { FitLevels, ratio, reciprocal, roundUniform } from './sums';

// Working memory of one thread: up to 256 columns, then per quantity an array of up to 16 groups, all vectors.
const groupBytes: usize = 256;
export const idealScale: usize = 4096;
export const idealOffset: usize = idealScale + groupBytes;
export const curvature11: usize = idealOffset + groupBytes;
export const curvature12: usize = curvature11 + groupBytes;
export const curvature22: usize = curvature12 + groupBytes;
export const scaleCode: usize = curvature22 + groupBytes;
export const offsetCode: usize = scaleCode + groupBytes;
const trialScaleCode: usize = offsetCode + groupBytes;
const trialOffsetCode: usize = trialScaleCode + groupBytes;
const temporary: usize = trialOffsetCode + groupBytes;

/** 32 vectors, as many as a group has columns. */
const flipRoom: usize = temporary + groupBytes;

/** The result: the super-block's scale and offset; the integers are in the working memory. */
export let superScale: v128 = i32x4.splat(0);
export let superOffset: v128 = i32x4.splat(0);
let work: usize = 0;
let groups: i32 = 0;
let scaleLevels: FitLevels = changetype<FitLevels>(0);
let offsetLevels: FitLevels = changetype<FitLevels>(0);
let affine: bool = false;

/** @param offset the integers an offset may be, null without offsets */
export function setSuperBlock(memory: usize, count: i32, scale: FitLevels, offset: FitLevels): void {
  work = memory;
  groups = count;
  scaleLevels = scale;
  offsetLevels = offset;
  affine = changetype<usize>(offset) != 0;
}

// The groups' levels, importances and number of columns.
let levels: FitLevels = changetype<FitLevels>(0);
let importance: usize = 0;
let n: i32 = 0;

/** Ideal scale, offset and curvature of every group of the columns in the working memory. */
export function fitGroups(grid: FitLevels, w: usize, columns: i32): void {
  levels = grid;
  importance = w;
  n = columns;
  for (let g = 0; g < groups; g++) {
    const p = work + ((<usize>g) << 4);
    const first = (<usize>(g * n)) << 4;
    setGroup(levels, work + first, 16, importance + first, n, work + flipRoom);
    search(0, false);
    evaluate(levels, work + first, 16, importance + first, n, bestScale, bestOffset);
    v128.store(p, bestScale, idealScale);
    v128.store(p, bestOffset, idealOffset);
    v128.store(p, at.curvatureScale, curvature11);
    v128.store(p, at.curvatureMixed, curvature12);
    v128.store(p, total, curvature22);
  }
}

function roundTo(integers: FitLevels, u: v128): v128 {
  return roundUniform(u, f32x4.splat(integers.min), f32x4.splat(integers.max));
}

/** Integers and super-block scales that minimise the sum of the groups' quadratic losses around their ideals. */
export function project(): void {
  const end = work + ((<usize>groups) << 4);
  for (let p = work; p < end; p += 16) {
    let curvature = v128.load(p, curvature11);
    if (affine) {
      // What is left of the scale's curvature when the offset follows it.
      const mixed = v128.load(p, curvature12);
      curvature = f32x4.sub(curvature, ratio(f32x4.mul(mixed, mixed), v128.load(p, curvature22)));
    }
    v128.store(p, f32x4.pmax(f32x4.splat(0), curvature), temporary);
  }
  superScale = fitIntegers(scaleLevels, idealScale, temporary);
  superOffset = f32x4.splat(0);
  assign(scaleLevels, superScale, idealScale, scaleCode);
  if (!affine) return;
  for (let p = work; p < end; p += 16) {
    const change = f32x4.sub(f32x4.mul(superScale, v128.load(p, scaleCode)), v128.load(p, idealScale));
    const follow = f32x4.mul(ratio(v128.load(p, curvature12), v128.load(p, curvature22)), change);
    const subtracted = f32x4.sub(follow, v128.load(p, idealOffset));
    v128.store(p, f32x4.pmax(f32x4.splat(0), subtracted), temporary);
  }
  superOffset = fitIntegers(offsetLevels, temporary, curvature22);
  assign(offsetLevels, superOffset, temporary, offsetCode);
}

/** The half whose multiples are nearest to the values, weighted: the same problem as a group of weights. */
function fitIntegers(integers: FitLevels, values: usize, weights: usize): v128 {
  setGroup(integers, work + values, 16, work + weights, groups, 0);
  searchDensely();
  storeHalf();
  return bestScale;
}

function assign(integers: FitLevels, unit: v128, values: usize, into: usize): void {
  const inverse = reciprocal(unit);
  const end = work + ((<usize>groups) << 4);
  for (let p = work; p < end; p += 16) {
    v128.store(p + into, roundTo(integers, f32x4.mul(v128.load(p + values), inverse)));
  }
}

const rounds: i32 = 2;

/** Alternates between integers and super-block scales and leaves the best under the true error. */
export function polish(): void {
  memory.copy(work + trialScaleCode, work + scaleCode, groupBytes);
  memory.copy(work + trialOffsetCode, work + offsetCode, groupBytes);
  let s = superScale;
  let m = superOffset;
  let least = f32x4.splat(Infinity);
  for (let round = 0; round < rounds; round++) {
    const error = improveIntegers(s, m);
    const better = f32x4.lt(error, least);
    least = v128.bitselect(error, least, better);
    superScale = v128.bitselect(s, superScale, better);
    superOffset = v128.bitselect(m, superOffset, better);
    keepTrials(trialScaleCode, scaleCode, better);
    if (affine) keepTrials(trialOffsetCode, offsetCode, better);
    s = storableHalf(f32x4.add(s, stepScale));
    m = storableHalf(f32x4.add(m, stepOffset));
  }
}

function keepTrials(trial: usize, kept: usize, better: v128): void {
  const end = work + ((<usize>groups) << 4);
  for (let p = work; p < end; p += 16) {
    v128.store(p + kept, v128.bitselect(v128.load(p + trial), v128.load(p + kept), better));
  }
}

/** The least-squares step of the super-block's scale and offset. */
let stepScale: v128 = i32x4.splat(0);
let stepOffset: v128 = i32x4.splat(0);

/** Moves each group's integers to the best near by, then finds the step of the super-block. Returns the error. */
function improveIntegers(s: v128, m: v128): v128 {
  let error = f32x4.splat(0);
  let gs = f32x4.splat(0);
  let gm = f32x4.splat(0);
  let ss = f32x4.splat(0);
  let sm = f32x4.splat(0);
  let mm = f32x4.splat(0);
  for (let g = 0; g < groups; g++) {
    const p = work + ((<usize>g) << 4);
    setTrials(g, s, m);
    if (affine) improveAffine(v128.load(p, trialScaleCode), v128.load(p, trialOffsetCode));
    else improveScale(v128.load(p, trialScaleCode));
    const sc = groupScaleCode;
    const oc = groupOffsetCode;
    v128.store(p, sc, trialScaleCode);
    v128.store(p, oc, trialOffsetCode);
    tryIntegers(sc, oc);
    error = f32x4.add(error, at.error);
    gs = f32x4.add(gs, f32x4.mul(sc, at.gradientScale));
    ss = f32x4.add(ss, f32x4.mul(f32x4.mul(sc, sc), at.curvatureScale));
    if (affine) {
      gm = f32x4.sub(gm, f32x4.mul(oc, at.gradientOffset));
      sm = f32x4.sub(sm, f32x4.mul(f32x4.mul(sc, oc), at.curvatureMixed));
      mm = f32x4.add(mm, f32x4.mul(f32x4.mul(oc, oc), groupTotal));
    }
  }
  const full = f32x4.mul(ss, mm);
  const determinant = f32x4.sub(full, f32x4.mul(sm, sm));
  const joint = f32x4.gt(determinant, f32x4.mul(f32x4.splat(singular), full));
  const both = ratio(f32x4.sub(f32x4.mul(gs, mm), f32x4.mul(gm, sm)), determinant);
  stepScale = v128.bitselect(both, ratio(gs, ss), joint);
  stepOffset = v128.and(ratio(f32x4.sub(f32x4.mul(ss, gm), f32x4.mul(sm, gs)), determinant), joint);
  return error;
}

/** Relative determinant below which single precision cannot tell scale from offset. */
const singular: f32 = 1e-5;

// The group at hand, its super-block's trial scales, and its best integers so far.
let first: usize = 0;
let groupTotal: v128 = i32x4.splat(0);
let trialScale: v128 = i32x4.splat(0);
let trialOffset: v128 = i32x4.splat(0);
let groupScaleCode: v128 = i32x4.splat(0);
let groupOffsetCode: v128 = i32x4.splat(0);
let groupError: v128 = i32x4.splat(0);

function setTrials(group: i32, s: v128, m: v128): void {
  first = (<usize>(group * n)) << 4;
  groupTotal = v128.load(work + ((<usize>group) << 4), curvature22);
  trialScale = s;
  trialOffset = m;
  groupError = f32x4.splat(Infinity);
}

// How far integers move in a round; wider is slower and, for the signed ones, better with few different weights.
const scaleReach: i32 = 6;
const mirrorReach: i32 = 2;
const affineReach: i32 = 2;

/** Signed integers also change sign: levels are not symmetric. */
function improveScale(sc: v128): void {
  for (let i = -scaleReach; i <= scaleReach; i++) {
    compareIntegers(roundTo(scaleLevels, f32x4.add(sc, f32x4.splat(<f32>i))), f32x4.splat(0));
  }
  for (let i = -mirrorReach; i <= mirrorReach; i++) {
    compareIntegers(roundTo(scaleLevels, f32x4.sub(f32x4.splat(<f32>i), sc)), f32x4.splat(0));
  }
}

/** For each scale near by the offsets around the best one for its codes. */
function improveAffine(sc: v128, oc: v128): void {
  const inverse = reciprocal(trialOffset);
  tryIntegers(sc, oc);
  const meanLevel = ratio(at.curvatureMixed, groupTotal);
  const slope = f32x4.mul(f32x4.mul(trialScale, inverse), meanLevel);
  for (let i = -affineReach; i <= affineReach; i++) {
    const code = roundTo(scaleLevels, f32x4.add(sc, f32x4.splat(<f32>i)));
    const guess = roundTo(offsetLevels, f32x4.add(oc, f32x4.mul(slope, f32x4.splat(<f32>i))));
    tryIntegers(code, guess);
    const centre = f32x4.sub(guess, f32x4.mul(inverse, ratio(at.gradientOffset, groupTotal)));
    for (let j = -affineReach; j <= affineReach; j++) {
      compareIntegers(code, roundTo(offsetLevels, f32x4.add(centre, f32x4.splat(<f32>j))));
    }
  }
}

/** Keeps the integers if they are the best so far, and leaves the sums of a least-squares step. */
function tryIntegers(sc: v128, oc: v128): void {
  const s = f32x4.mul(trialScale, sc);
  const o = f32x4.neg(f32x4.mul(trialOffset, oc));
  evaluate(levels, work + first, 16, importance + first, n, s, o);
  keepIntegers(sc, oc);
}

/** The same without the sums. */
function compareIntegers(sc: v128, oc: v128): void {
  const s = f32x4.mul(trialScale, sc);
  const o = f32x4.neg(f32x4.mul(trialOffset, oc));
  evaluateError(levels, work + first, 16, importance + first, n, s, o);
  keepIntegers(sc, oc);
}

function keepIntegers(sc: v128, oc: v128): void {
  const better = f32x4.lt(at.error, groupError);
  groupScaleCode = v128.bitselect(sc, groupScaleCode, better);
  groupOffsetCode = v128.bitselect(oc, groupOffsetCode, better);
  groupError = v128.bitselect(at.error, groupError, better);
}
