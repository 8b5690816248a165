// Scales and offsets inside coordinate descent: the change of both that minimises the loss for the codes as they
// are (weighted least squares under the full H), rounded to what the format stores, and its neighbours. Every trial
// lets the codes of the group follow, and is kept only in the rows where the loss falls.

import { ratio, reciprocal } from '../fit/sums';
import { storableHalf, storablePower } from '../numbers/storable';
import { levelOf } from '../rounding/levels';
import {
  arrays,
  integersAt,
  memory,
  offset,
  offsetCode,
  scale,
  scaleCode,
  setGroup,
  singular,
  storage,
  superOffset,
  superScale,
} from './storage';
import { codes, codesAt, firstLane, gradient, levels, square, stripBytes, vectors, width } from './strip';
import { gainOf, prepareWindow, roundWindow, takeWindow } from './window';

/** The columns of the group at hand and their factor, as for prepareWindow. */
let groupIndex: usize = 0;
let groupFactor: usize = 0;

// In `memory`, four vectors each.
const trialScale: usize = 0;
const trialOffset: usize = 64;
const idealScale: usize = 192;
const idealOffset: usize = 256;

/** By how much the ideal offset falls per unit of scale. */
const slope: usize = 320;
const trialScaleCode: usize = 384;
const trialOffsetCode: usize = 448;

/** With zero points: Σ l H l and Σ H over the group, in the place of the codes. */
const curvature: usize = 384;
const total: usize = 448;

/** Of scales that are tried beside the ideal one. */
const scaleReach: f32 = 1.05;

/** Refits the scale and offset of columns [first, first + n); scales and offsets are those of group 0. */
export function refineGroup(
  first: i32,
  n: i32,
  scales: usize,
  offsets: usize,
  stride: i32,
  row: i32,
  index: usize,
  factor: usize,
): void {
  groupIndex = index;
  groupFactor = factor;
  prepareWindow(n, index, factor);
  setGroup(first / n, first, scales, offsets, stride, row);
  solveIdeal(first, n);
  if (storage.kind == 3) {
    tryIntegers(first, n);
    return;
  }
  if (storage.kind == 4) {
    tryZeroPoints(first, n);
    return;
  }
  for (let v: usize = 0; v < 64; v += 16) {
    const ideal = v128.load(memory + v, idealScale);
    v128.store(memory + v, storage.kind == 2 ? storablePower(ideal) : storableHalf(ideal), trialScale);
    if (storage.affine) v128.store(memory + v, storableHalf(v128.load(memory + v, idealOffset)), trialOffset);
    else v128.store(memory + v, v128.load(offset + v), trialOffset);
  }
  tryGroup(first, n);
  for (let trial = 0; trial < storage.trials; trial++) {
    const reach: f32 = storage.kind == 2 ? 1 : 0.05 * <f32>(trial / 2 + 1);
    const factor: f32 = (trial & 1) == 0 ? 1 + reach : 1 / (1 + reach);
    for (let v: usize = 0; v < 64; v += 16) {
      const ideal = v128.load(memory + v, idealScale);
      const s = f32x4.mul(ideal, f32x4.splat(factor));
      v128.store(memory + v, storage.kind == 2 ? storablePower(s) : storableHalf(s), trialScale);
      if (!storage.affine) continue;
      const follow = f32x4.mul(v128.load(memory + v, slope), f32x4.sub(s, ideal));
      v128.store(
        memory + v,
        storableHalf(f32x4.sub(v128.load(memory + v, idealOffset), follow)),
        trialOffset,
      );
    }
    tryGroup(first, n);
  }
}

function clampRound(u: v128, low: f32, high: f32): v128 {
  return f32x4.pmin(f32x4.splat(high), f32x4.pmax(f32x4.splat(low), f32x4.nearest(u)));
}

/**
 * Tries the whole zero points z around the ideal one. On the line where the offset is −s·z the loss is least for
 *
 *   s = s* + d (a12 − z a22) / (a11 − 2 z a12 + z² a22),  d = z s* + o*,
 *
 * s* and o* being the ideal scale and offset and a the curvature of the loss.
 */
function tryZeroPoints(first: i32, n: i32): void {
  for (let trial = -1; trial < storage.trials; trial++) {
    const by: f32 = trial < 0 ? 0 : trial < 4 ? ((trial & 1) == 0 ? 1 : -1) * <f32>(trial / 2 + 1) : 0;
    const factor: f32 = trial < 4 ? 1 : (trial & 1) == 0 ? scaleReach : 1 / scaleReach;
    for (let v: usize = 0; v < 64; v += 16) {
      const s = v128.load(memory + v, idealScale);
      const o = v128.load(memory + v, idealOffset);
      const a11 = v128.load(memory + v, curvature);
      const a22 = v128.load(memory + v, total);
      const a12 = f32x4.mul(v128.load(memory + v, slope), a22);
      const nearest = f32x4.nearest(f32x4.neg(f32x4.mul(o, reciprocal(s))));
      const z = clampRound(f32x4.add(nearest, f32x4.splat(by)), storage.scaleMin, storage.offsetMax);
      const apart = f32x4.add(f32x4.mul(z, s), o);
      const za22 = f32x4.mul(z, a22);
      const steepness = f32x4.add(
        f32x4.sub(a11, f32x4.mul(f32x4.splat(2), f32x4.mul(z, a12))),
        f32x4.mul(z, za22),
      );
      const move = ratio(f32x4.mul(apart, f32x4.sub(a12, za22)), steepness);
      const best = storableHalf(f32x4.mul(f32x4.add(s, move), f32x4.splat(factor)));
      v128.store(memory + v, best, trialScale);
      v128.store(memory + v, f32x4.neg(f32x4.mul(best, z)), trialOffset);
    }
    tryGroup(first, n);
  }
}

/** Tries the integers nearest to the ideal, and their neighbours. */
function tryIntegers(first: i32, n: i32): void {
  const signed = storage.scaleMin < 0;
  for (let trial = -1; trial < storage.trials; trial++) {
    for (let v: usize = 0; v < 64; v += 16) {
      const unit = v128.load(superScale + v);
      let code: v128;
      if (trial < 0) code = f32x4.mul(v128.load(memory + v, idealScale), reciprocal(unit));
      else {
        const by: f32 = trial < 4 ? ((trial & 1) == 0 ? 1 : -1) * <f32>(trial / 2 + 1) : 0;
        code = f32x4.add(integersAt(scaleCode + (v >> 2), signed), f32x4.splat(by));
      }
      code = clampRound(code, storage.scaleMin, storage.scaleMax);
      const s = f32x4.mul(unit, code);
      v128.store(memory + v, code, trialScaleCode);
      v128.store(memory + v, s, trialScale);
      if (!storage.affine) {
        v128.store(memory + v, v128.load(offset + v), trialOffset);
        continue;
      }
      const unitOffset = v128.load(superOffset + v);
      const change = f32x4.sub(s, v128.load(memory + v, idealScale));
      const ideal = f32x4.sub(
        v128.load(memory + v, idealOffset),
        f32x4.mul(v128.load(memory + v, slope), change),
      );
      let down = f32x4.neg(f32x4.mul(ideal, reciprocal(unitOffset)));
      if (trial >= 4) {
        const by: f32 = (trial & 1) == 0 ? 1 : -1;
        down = f32x4.add(integersAt(offsetCode + (v >> 2), false), f32x4.splat(by));
      }
      down = clampRound(down, 0, storage.offsetMax);
      v128.store(memory + v, down, trialOffsetCode);
      v128.store(memory + v, f32x4.neg(f32x4.mul(unitOffset, down)), trialOffset);
    }
    tryGroup(first, n);
  }
}

/** The scale and offset that minimise the loss with codes held. */
function solveIdeal(first: i32, n: i32): void {
  const local = memory + arrays; // levels
  for (let j = 0; j < n; j++) {
    for (let v = 0; v < 4; v++) {
      v128.store(
        local + <usize>j * stripBytes + ((<usize>v) << 4),
        levelOf(levels, codesAt(codes, first + j, v), firstLane + ((<usize>v) << 4)),
      );
    }
  }
  for (let v: usize = 0; v < 64; v += 16) {
    let a11 = f32x4.splat(0);
    let a12 = f32x4.splat(0);
    let a22: f32 = 0;
    let b1 = f32x4.splat(0);
    let b2 = f32x4.splat(0);
    for (let j = 0; j < n; j++) {
      const row = square + ((<usize>(first + j) * width + first) << 2);
      let product = f32x4.splat(0);
      let sum: f32 = 0;
      let z = local + v;
      for (let at = row; at < row + ((<usize>n) << 2); at += 4, z += stripBytes) {
        product = f32x4.add(product, f32x4.mul(v128.load32_splat(at), v128.load(z)));
        sum += load<f32>(at);
      }
      const level = v128.load(local + <usize>j * stripBytes + v);
      const g = v128.load(gradient + <usize>(first + j) * stripBytes + v);
      a11 = f32x4.add(a11, f32x4.mul(level, product));
      a12 = f32x4.add(a12, product);
      a22 += sum;
      b1 = f32x4.add(b1, f32x4.mul(level, g));
      b2 = f32x4.add(b2, g);
    }
    let moveScale: v128;
    let moveOffset = f32x4.splat(0);
    if (storage.affine) {
      const c = f32x4.splat(a22);
      const full = f32x4.mul(a11, c);
      const determinant = f32x4.sub(full, f32x4.mul(a12, a12));
      const fine = f32x4.gt(determinant, f32x4.mul(full, f32x4.splat(singular)));
      const s = ratio(f32x4.sub(f32x4.mul(b1, c), f32x4.mul(b2, a12)), determinant);
      const o = ratio(f32x4.sub(f32x4.mul(b2, a11), f32x4.mul(b1, a12)), determinant);
      moveScale = v128.and(s, fine);
      moveOffset = v128.and(o, fine);
    } else moveScale = ratio(b1, a11);
    v128.store(memory + v, ratio(a12, f32x4.splat(a22)), slope);
    v128.store(memory + v, a11, curvature);
    v128.store(memory + v, f32x4.splat(a22), total);
    v128.store(memory + v, f32x4.add(v128.load(scale + v), moveScale), idealScale);
    v128.store(memory + v, f32x4.add(v128.load(offset + v), moveOffset), idealOffset);
  }
}

/** Takes the trial scale and offset where that, with the codes following, lowers the loss. */
function tryGroup(first: i32, n: i32): void {
  if (!roundWindow(width, memory + trialScale, memory + trialOffset, 0)) return;
  for (let v = 0; v < vectors; v++) {
    const at = (<usize>v) << 4;
    const accept = gainOf(v);
    v128.store(scale + at, v128.bitselect(v128.load(memory + at, trialScale), v128.load(scale + at), accept));
    v128.store(
      offset + at,
      v128.bitselect(v128.load(memory + at, trialOffset), v128.load(offset + at), accept),
    );
    if (storage.kind != 3) continue;
    selectBytes(scaleCode + (at >> 2), v128.load(memory + at, trialScaleCode), accept);
    if (storage.affine) selectBytes(offsetCode + (at >> 2), v128.load(memory + at, trialOffsetCode), accept);
  }
  takeWindow();
  prepareWindow(n, groupIndex, groupFactor);
}

/** Replaces four bytes by integers given as floats, in the lanes of the mask. */
function selectBytes(at: usize, integers: v128, mask: v128): void {
  const old = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
  const lanes = v128.bitselect(i32x4.trunc_sat_f32x4_s(integers), old, mask);
  const first = i8x16(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  v128.store32_lane(at, i8x16.swizzle(lanes, first), 0);
}
