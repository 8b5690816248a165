// Scales and offsets that are small integers times one half per super-block (K-quants, IQ4_XS), four rows at a
// time. A super-block is first fitted group by group as if scales were free; `project` then finds the super-block's
// scale and the integers from the curvature of each group alone, and `polish` alternates between the integers,
// judged by the true error after rounding again, and a least-squares step for the super-block's scales.
import * as at from './fit-evaluate';
import { evaluate, Levels, reciprocal, roundUniform } from './fit-evaluate';
import { bestOffset, bestScale, ratio, search, setGroup, storeHalf } from './fit-search';
import { storableHalf } from './storable';

// Working memory of one thread: a copy of at most 256 columns, then per quantity an array of at most 16 groups.
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

/** The result: the super-block's scale and offset; the integers are in the working memory. */
export let superScale: v128 = i32x4.splat(0);
export let superOffset: v128 = i32x4.splat(0);
let superError: v128 = i32x4.splat(0);

let work: usize = 0;
let groups: i32 = 0;
let scaleLevels: Levels = changetype<Levels>(0);
let offsetLevels: Levels = changetype<Levels>(0);

export function setSuperBlock(memory: usize, count: i32, scale: Levels, offset: Levels): void {
  work = memory;
  groups = count;
  scaleLevels = scale;
  offsetLevels = offset;
}

// @ts-ignore: decorator
@inline
function roundTo(levels: Levels, u: v128): v128 {
  return roundUniform(u, f32x4.splat(levels.min), f32x4.splat(levels.max));
}

/** Integers and super-block scales that minimise the sum of the groups' quadratic losses around their ideals. */
export function project(): void {
  const end = work + ((<usize>groups) << 4);
  const affine = changetype<usize>(offsetLevels) != 0;
  if (!affine) {
    setGroup(scaleLevels, work + idealScale, 16, work + curvature11, groups);
  } else {
    // The curvature of the scale when the offset follows it.
    for (let p = work; p < end; p += 16) {
      const mixed = v128.load(p, curvature12);
      const follow = ratio(f32x4.mul(mixed, mixed), v128.load(p, curvature22));
      v128.store(p, f32x4.sub(v128.load(p, curvature11), follow), temporary);
    }
    setGroup(scaleLevels, work + idealScale, 16, work + temporary, groups);
  }
  search(Infinity);
  storeHalf();
  superScale = bestScale;
  superOffset = f32x4.splat(0);
  assignScales(superScale, scaleCode);
  if (!affine) return;
  setGroup(offsetLevels, work + temporary, 16, work + curvature22, groups);
  followOffsets(superScale, scaleCode);
  search(Infinity);
  storeHalf();
  superOffset = bestScale;
  assignOffsets(superOffset, offsetCode);
}

function assignScales(s: v128, into: usize): void {
  const inverse = reciprocal(s);
  const end = work + ((<usize>groups) << 4);
  for (let p = work; p < end; p += 16) {
    v128.store(p + into, roundTo(scaleLevels, f32x4.mul(v128.load(p, idealScale), inverse)));
  }
}

/** temporary = what is best subtracted in each group, given the integer scales, and not negative. */
function followOffsets(s: v128, codes: usize): void {
  const end = work + ((<usize>groups) << 4);
  for (let p = work; p < end; p += 16) {
    const change = f32x4.sub(f32x4.mul(s, v128.load(p + codes)), v128.load(p, idealScale));
    const follow = f32x4.mul(ratio(v128.load(p, curvature12), v128.load(p, curvature22)), change);
    const subtracted = f32x4.sub(follow, v128.load(p, idealOffset));
    v128.store(p, f32x4.pmax(f32x4.splat(0), subtracted), temporary);
  }
}

function assignOffsets(m: v128, into: usize): void {
  const inverse = reciprocal(m);
  const end = work + ((<usize>groups) << 4);
  for (let p = work; p < end; p += 16) {
    v128.store(p + into, roundTo(offsetLevels, f32x4.mul(v128.load(p, temporary), inverse)));
  }
}

/** How many rounds of integers ↔ super-block scales follow each start. */
const rounds: i32 = 3;
const starts: i32 = 4;
/** Ratio of the super-block's scale between starts, in units of one step of the largest integer. */
const startStep: f32 = 0.5;

/**
 * Improves what `project` found until no integer moves or the rounds are over, from several super-block scales,
 * and leaves the best under the true error.
 * @param x the columns (vectors, `step` apart); w their importances
 */
export function polish(levels: Levels, x: usize, step: usize, w: usize, n: i32): void {
  const s = superScale;
  const m = superOffset;
  const affine = changetype<usize>(offsetLevels) != 0;
  const size = max(-scaleLevels.min, scaleLevels.max);
  superError = f32x4.splat(Infinity);
  for (let start = 0; start < starts; start++) {
    // 0, +1, −1, +2 …
    const shift = <f32>(start & 1 ? (start + 1) >> 1 : -(start >> 1));
    let trialScale = storableHalf(f32x4.mul(s, f32x4.splat(1 + (shift * startStep) / size)));
    let trialOffset = m;
    assignScales(trialScale, trialScaleCode);
    if (affine) {
      followOffsets(trialScale, trialScaleCode);
      assignOffsets(trialOffset, trialOffsetCode);
    }
    for (let round = 0; round < rounds; round++) {
      improveCodes(levels, x, step, w, n, trialScale, trialOffset);
      const moveS = stepScale;
      trialOffset = storableHalf(f32x4.add(trialOffset, stepOffset));
      trialScale = storableHalf(f32x4.add(trialScale, moveS));
    }
  }
}

let stepScale: v128 = i32x4.splat(0);
let stepOffset: v128 = i32x4.splat(0);

// The best integers of the group at hand.
let groupScaleCode: v128 = i32x4.splat(0);
let groupOffsetCode: v128 = i32x4.splat(0);
let groupError: v128 = i32x4.splat(0);

/** Moves each group's integers to better neighbours, then finds the least-squares step of the super-block. */
function improveCodes(levels: Levels, x: usize, step: usize, w: usize, n: i32, s: v128, m: v128): void {
  const affine = changetype<usize>(offsetLevels) != 0;
  let total = f32x4.splat(0);
  let gs = f32x4.splat(0);
  let gm = f32x4.splat(0);
  let ss = f32x4.splat(0);
  let sm = f32x4.splat(0);
  let mm = f32x4.splat(0);
  for (let g = 0; g < groups; g++) {
    const p = work + ((<usize>g) << 4);
    const xs = x + <usize>(g * n) * step;
    const ws = w + ((<usize>(g * n)) << 4);
    const sc = v128.load(p + trialScaleCode);
    const oc = v128.load(p + trialOffsetCode);
    groupError = f32x4.splat(Infinity);
    for (let i = -1; i <= 1; i++) {
      const code = roundTo(scaleLevels, f32x4.add(sc, f32x4.splat(<f32>i)));
      tryCodes(levels, xs, step, ws, n, s, m, code, oc);
      if (affine) {
        const target = f32x4.sub(f32x4.mul(m, oc), ratio(at.gradientOffset, at.curvatureOffset));
        tryCodes(levels, xs, step, ws, n, s, m, code, roundTo(offsetLevels, f32x4.mul(target, reciprocal(m))));
      }
    }
    v128.store(p + trialScaleCode, groupScaleCode);
    v128.store(p + trialOffsetCode, groupOffsetCode);
    evaluate(levels, xs, step, ws, n, f32x4.mul(s, groupScaleCode), f32x4.neg(f32x4.mul(m, groupOffsetCode)));
    total = f32x4.add(total, at.error);
    gs = f32x4.add(gs, f32x4.mul(groupScaleCode, at.gradientScale));
    ss = f32x4.add(ss, f32x4.mul(f32x4.mul(groupScaleCode, groupScaleCode), at.curvatureScale));
    if (affine) {
      gm = f32x4.sub(gm, f32x4.mul(groupOffsetCode, at.gradientOffset));
      sm = f32x4.sub(sm, f32x4.mul(f32x4.mul(groupScaleCode, groupOffsetCode), at.curvatureMixed));
      mm = f32x4.add(mm, f32x4.mul(f32x4.mul(groupOffsetCode, groupOffsetCode), at.curvatureOffset));
    }
  }
  const better = f32x4.lt(total, superError);
  superError = v128.bitselect(total, superError, better);
  superScale = v128.bitselect(s, superScale, better);
  superOffset = v128.bitselect(m, superOffset, better);
  for (let g = 0; g < groups; g++) {
    const p = work + ((<usize>g) << 4);
    v128.store(p + scaleCode, v128.bitselect(v128.load(p + trialScaleCode), v128.load(p + scaleCode), better));
    if (affine)
      v128.store(p + offsetCode, v128.bitselect(v128.load(p + trialOffsetCode), v128.load(p + offsetCode), better));
  }
  const determinant = f32x4.sub(f32x4.mul(ss, mm), f32x4.mul(sm, sm));
  const joint = f32x4.gt(determinant, f32x4.mul(f32x4.splat(1e-5), f32x4.mul(ss, mm)));
  const jointScale = ratio(f32x4.sub(f32x4.mul(gs, mm), f32x4.mul(gm, sm)), determinant);
  const jointOffset = ratio(f32x4.sub(f32x4.mul(ss, gm), f32x4.mul(sm, gs)), determinant);
  stepScale = v128.bitselect(jointScale, ratio(gs, ss), joint);
  stepOffset = v128.and(jointOffset, joint);
}

function tryCodes(
  levels: Levels, x: usize, step: usize, w: usize, n: i32, s: v128, m: v128, sc: v128, oc: v128,
): void {
  evaluate(levels, x, step, w, n, f32x4.mul(s, sc), f32x4.neg(f32x4.mul(m, oc)));
  const better = f32x4.lt(at.error, groupError);
  groupScaleCode = v128.bitselect(sc, groupScaleCode, better);
  groupOffsetCode = v128.bitselect(oc, groupOffsetCode, better);
  groupError = v128.bitselect(at.error, groupError, better);
}

/** Ideal scale, offset and curvature of every group, in the working memory. */
export function idealGroups(levels: Levels, x: usize, step: usize, w: usize, n: i32): void {
  for (let g = 0; g < groups; g++) {
    const p = work + ((<usize>g) << 4);
    const xs = x + <usize>(g * n) * step;
    const ws = w + ((<usize>(g * n)) << 4);
    setGroup(levels, xs, step, ws, n);
    search(0);
    evaluate(levels, xs, step, ws, n, bestScale, bestOffset);
    v128.store(p, bestScale, idealScale);
    v128.store(p, bestOffset, idealOffset);
    v128.store(p, at.curvatureScale, curvature11);
    v128.store(p, at.curvatureMixed, curvature12);
    v128.store(p, at.curvatureOffset, curvature22);
  }
}
