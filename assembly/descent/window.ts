// Moves of many columns at once inside coordinate descent. For a window of columns with all others held, the loss
// is ‖y − Lᵀ e‖² and a constant, where e is the change of the values, L·Lᵀ = H of the window and L y = G. Rounding
// from the last position to the first, each against what the later ones left over (Babai's nearest plane, that is
// GPTQ inside the window), leaves minima that moves of single columns cannot. Kept in the rows where the loss falls.

import { reciprocal } from '../fit/sums';
import { levelOf, nearestCode } from '../rounding/levels';
import {
  addGains,
  codes,
  codesAt,
  firstLane,
  gains,
  gradient,
  keepChange,
  levels,
  nextChange,
  pushChanges,
  storeCodes,
  stripBytes,
  values,
  vectors,
} from './strip';

/** A window must win at least this share of its part of the loss; less is noise. */
const slack: f32 = 1e-5;

// In the memory of the strip: y, e and new values, then new codes.
let memory: usize = 0;

// The window at hand.
let size: i32 = 0;
let n: i32 = 0;
let index: usize = 0;
let factor: usize = 0;
let trial: usize = 0;
let trialCodes: usize = 0;

/** Its part of the loss as it is. */
let before0: v128 = i32x4.splat(0);
let before1: v128 = i32x4.splat(0);
let before2: v128 = i32x4.splat(0);
let before3: v128 = i32x4.splat(0);

export function setWindows(room: usize): void {
  memory = room;
}

/** Sets the window for roundWindow: finds y. To be called again when values have changed. */
export function prepareWindow(columns: i32, positions: usize, lower: usize): void {
  size = columns;
  index = positions;
  factor = lower;
  const row = (<usize>size) << 2;
  const diagonals = factor + <usize>size * row;
  const inverses = diagonals + row;
  const y = memory;
  trial = y + <usize>size * stripBytes;
  trialCodes = trial + <usize>size * stripBytes;
  n = 0;
  let c0 = f32x4.splat(0);
  let c1 = c0;
  let c2 = c0;
  let c3 = c0;
  for (; n < size; n++) {
    const column = load<i32>(index + ((<usize>n) << 2));
    if (column < 0) break;
    const own = gradient + <usize>column * stripBytes;
    let g0 = v128.load(own);
    let g1 = v128.load(own, 16);
    let g2 = v128.load(own, 32);
    let g3 = v128.load(own, 48);
    let l = factor + <usize>n * row;
    const end = y + <usize>n * stripBytes;
    for (let at = y; at < end; at += stripBytes, l += 4) {
      const f = v128.load32_splat(l);
      g0 = f32x4.sub(g0, f32x4.mul(f, v128.load(at)));
      g1 = f32x4.sub(g1, f32x4.mul(f, v128.load(at, 16)));
      g2 = f32x4.sub(g2, f32x4.mul(f, v128.load(at, 32)));
      g3 = f32x4.sub(g3, f32x4.mul(f, v128.load(at, 48)));
    }
    const inverse = v128.load32_splat(inverses + ((<usize>n) << 2));
    g0 = f32x4.mul(g0, inverse);
    g1 = f32x4.mul(g1, inverse);
    g2 = f32x4.mul(g2, inverse);
    g3 = f32x4.mul(g3, inverse);
    v128.store(end, g0);
    v128.store(end, g1, 16);
    v128.store(end, g2, 32);
    v128.store(end, g3, 48);
    c0 = f32x4.add(c0, f32x4.mul(g0, g0));
    c1 = f32x4.add(c1, f32x4.mul(g1, g1));
    c2 = f32x4.add(c2, f32x4.mul(g2, g2));
    c3 = f32x4.add(c3, f32x4.mul(g3, g3));
  }
  before0 = c0;
  before1 = c1;
  before2 = c2;
  before3 = c3;
}

/**
 * Rounds the window and finds the rows that gain by it; false if none does. A column's scale lies `pitch` bytes per
 * group behind `scales`.
 */
export function roundWindow(groupSize: i32, scales: usize, offsets: usize, pitch: usize): bool {
  const row = (<usize>size) << 2;
  const diagonals = factor + <usize>size * row;
  const inverses = diagonals + row;
  const y = memory;
  const e = nextChange();
  for (let v = 0; v < 4; v++) setGain(v, beforeOf(v));
  for (let j = n - 1; j >= 0; j--) {
    const local = <usize>j * stripBytes;
    let r0 = v128.load(y + local);
    let r1 = v128.load(y + local, 16);
    let r2 = v128.load(y + local, 32);
    let r3 = v128.load(y + local, 48);
    let l = factor + <usize>j * row + ((<usize>(j + 1)) << 2);
    const end = e + <usize>n * stripBytes;
    for (let at = e + local + stripBytes; at < end; at += stripBytes, l += 4) {
      const f = v128.load32_splat(l);
      r0 = f32x4.add(r0, f32x4.mul(f, v128.load(at)));
      r1 = f32x4.add(r1, f32x4.mul(f, v128.load(at, 16)));
      r2 = f32x4.add(r2, f32x4.mul(f, v128.load(at, 32)));
      r3 = f32x4.add(r3, f32x4.mul(f, v128.load(at, 48)));
    }
    const column = load<i32>(index + ((<usize>j) << 2));
    const group = <usize>(column / groupSize) * pitch;
    const d = load<f32>(diagonals + ((<usize>j) << 2));
    const inverse = load<f32>(inverses + ((<usize>j) << 2));
    round(column, j, 0, r0, d, inverse, scales + group, offsets + group, e);
    round(column, j, 1, r1, d, inverse, scales + group, offsets + group, e);
    round(column, j, 2, r2, d, inverse, scales + group, offsets + group, e);
    round(column, j, 3, r3, d, inverse, scales + group, offsets + group, e);
  }
  let any = f32x4.splat(0);
  for (let v = 0; v < vectors; v++) {
    const before = beforeOf(v);
    const gain = gainOf(v);
    const accept = f32x4.gt(gain, f32x4.mul(before, f32x4.splat(slack)));
    any = v128.or(any, accept);
    setGain(v, accept);
    addGains(gains + ((<usize>v) << 5), v128.and(gain, accept));
  }
  for (let v = vectors; v < 4; v++) setGain(v, f32x4.splat(0));
  return v128.any_true(any);
}

function beforeOf(v: i32): v128 {
  return v == 0 ? before0 : v == 1 ? before1 : v == 2 ? before2 : before3;
}

let gain0: v128 = i32x4.splat(0);
let gain1: v128 = i32x4.splat(0);
let gain2: v128 = i32x4.splat(0);
let gain3: v128 = i32x4.splat(0);

/** Behind roundWindow: the lanes of vector v that gain. */
export function gainOf(v: i32): v128 {
  return v == 0 ? gain0 : v == 1 ? gain1 : v == 2 ? gain2 : gain3;
}

function setGain(v: i32, value: v128): void {
  if (v == 0) gain0 = value;
  else if (v == 1) gain1 = value;
  else if (v == 2) gain2 = value;
  else gain3 = value;
}

/** Rounds one vector of position j; stores −e, the new value and code, and takes what is left off the gain. */
function round(
  column: i32,
  j: i32,
  v: i32,
  residual: v128,
  diagonal: f32,
  inverse: f32,
  scale: usize,
  offset: usize,
  e: usize,
): void {
  const at = (<usize>v) << 4;
  const local = <usize>j * stripBytes + at;
  const s = v128.load(scale + at);
  const o = v128.load(offset + at);
  const old = v128.load(values + <usize>column * stripBytes + at);
  const target = f32x4.add(old, f32x4.mul(residual, f32x4.splat(inverse)));
  const lane = firstLane + at;
  const code = nearestCode(levels, f32x4.mul(f32x4.sub(target, o), reciprocal(s)), lane);
  const value = f32x4.add(f32x4.mul(s, levelOf(levels, code, lane)), o);
  const back = f32x4.sub(old, value);
  const left = f32x4.add(residual, f32x4.mul(f32x4.splat(diagonal), back));
  setGain(v, f32x4.sub(gainOf(v), f32x4.mul(left, left)));
  v128.store(e + local, back);
  v128.store(trial + local, value);
  storeCodes(trialCodes, j, v, code);
}

/** Takes what roundWindow found, in the rows that gain. */
export function takeWindow(): void {
  const e = nextChange();
  for (let j = 0; j < n; j++) {
    const column = load<i32>(index + ((<usize>j) << 2));
    let any = f32x4.splat(0);
    for (let v = 0; v < 4; v++) {
      const at = (<usize>v) << 4;
      const local = <usize>j * stripBytes + at;
      const accept = gainOf(v);
      const back = v128.and(v128.load(e + local), accept);
      // Compacts in place: changes are kept one behind the other.
      v128.store(nextChange() + at, back);
      any = v128.or(any, f32x4.ne(back, f32x4.splat(0)));
      const own = values + <usize>column * stripBytes + at;
      v128.store(own, v128.bitselect(v128.load(trial + local), v128.load(own), accept));
      storeCodes(
        codes,
        column,
        v,
        v128.bitselect(codesAt(trialCodes, j, v), codesAt(codes, column, v), accept),
      );
    }
    if (v128.any_true(any)) keepChange(column);
  }
  pushChanges();
}
