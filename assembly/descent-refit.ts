// Scales and offsets inside coordinate descent: the change of both that minimises the loss for the codes as they
// are (weighted least squares under the full H), rounded to what the format stores, and its neighbours. Every trial
// lets the codes of the group follow, and is kept only in the rows where the loss falls.
import {
  addGains,
  codes,
  codesAt,
  current0,
  current1,
  current2,
  current3,
  gradient,
  keepChange,
  nextChange,
  pullGradient,
  pushChanges,
  square,
  storeCodes,
  stripBytes,
  values,
  width,
} from './descent-strip';
import { gainOf, prepareWindow, roundWindow, takeWindow } from './descent-window';
import { reciprocal } from './fit-sums';
import { levelOf } from './levels';
import { halfStep, storableHalf, storablePower } from './storable';

/** What a format stores: src/solver/storage.ts writes it. */
// @ts-ignore: decorator
@unmanaged
class Storage {
  /** 1: halves, 2: powers of two, 3: integers times halves of a super-block. */
  kind: i32;
  affine: i32;
  scaleMin: f32;
  scaleMax: f32;
  offsetMax: f32;
  trials: i32;
  /** Columns of a super-block. */
  superColumns: i32;
  /** Addresses of what a two-level format stores, from the first column of the block on. */
  superScale: usize;
  superOffset: usize;
  scaleCode: usize;
  offsetCode: usize;
}

let memory: usize = 0;
let levels: usize = 0;
let storage: Storage = changetype<Storage>(0);
/** Of the group at hand, at the strip's first row. */
let scale: usize = 0;
let offset: usize = 0;
let superScale: usize = 0;
let superOffset: usize = 0;
let scaleCode: usize = 0;
let offsetCode: usize = 0;
/** Its columns and their factor, as for prepareWindow. */
let groupIndex: usize = 0;
let groupFactor: usize = 0;
let vectors: i32 = 0;
let gains: usize = 0;

// In `memory`, four vectors each.
const trialScale: usize = 0;
const trialOffset: usize = 64;
const loss: usize = 128;
const idealScale: usize = 192;
const idealOffset: usize = 256;
/** By how much the ideal offset falls per unit of scale. */
const slope: usize = 320;
const trialScaleCode: usize = 384;
const trialOffsetCode: usize = 448;
const arrays: usize = 4096;

export function setRefit(room: usize, record: usize, format: usize, count: i32, gained: usize): void {
  memory = room;
  levels = record;
  storage = changetype<Storage>(format);
  vectors = count;
  gains = gained;
}

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

/** Columns of a super-block; 0 where the format has none. */
export function superColumnsOf(): i32 {
  return storage.kind == 3 ? storage.superColumns : 0;
}

function setGroup(group: i32, first: i32, scales: usize, offsets: usize, stride: i32, row: i32): void {
  const at = <usize>group * <usize>stride + <usize>row;
  scale = scales + (at << 2);
  offset = offsets + (at << 2);
  if (storage.kind != 3) return;
  const block = <usize>(first / storage.superColumns) * <usize>stride + <usize>row;
  superScale = storage.superScale + (block << 2);
  superOffset = storage.superOffset + (block << 2);
  scaleCode = storage.scaleCode + at;
  offsetCode = storage.offsetCode + at;
}

/** Four integers as floats. */
function integersAt(at: usize, signed: bool): v128 {
  let code = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
  if (signed) code = i32x4.shr_s(i32x4.shl(code, 24), 24);
  return f32x4.convert_i32x4_s(code);
}

function clampRound(u: v128, low: f32, high: f32): v128 {
  return f32x4.pmin(f32x4.splat(high), f32x4.pmax(f32x4.splat(low), f32x4.nearest(u)));
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

/** Refits the halves of a super-block that starts at column `first`; integers and codes stay. */
export function refineSuper(first: i32, n: i32, scales: usize, offsets: usize, stride: i32, row: i32): void {
  const columns = storage.superColumns;
  const signed = storage.scaleMin < 0;
  const y1 = memory + arrays;
  const y2 = y1 + <usize>columns * stripBytes;
  for (let j = 0; j < columns; j += n) {
    setGroup((first + j) / n, first + j, scales, offsets, stride, row);
    for (let v = 0; v < vectors; v++) {
      const at = (<usize>v) << 4;
      const sc = integersAt(scaleCode + (at >> 2), signed);
      const oc = storage.affine ? f32x4.neg(integersAt(offsetCode + (at >> 2), false)) : f32x4.splat(0);
      for (let k = j; k < j + n; k++) {
        const local = <usize>k * stripBytes + at;
        v128.store(y1 + local, f32x4.mul(sc, levelOf(levels, codesAt(codes, first + k, v))));
        v128.store(y2 + local, oc);
      }
    }
  }
  let any = f32x4.splat(0);
  for (let v = 0; v < vectors; v++) {
    const at = (<usize>v) << 4;
    let a11 = f32x4.splat(0);
    let a12 = f32x4.splat(0);
    let a22 = f32x4.splat(0);
    let b1 = f32x4.splat(0);
    let b2 = f32x4.splat(0);
    for (let j = 0; j < columns; j++) {
      let h = square + ((<usize>(first + j) * width + first) << 2);
      let p1 = f32x4.splat(0);
      let p2 = f32x4.splat(0);
      for (let y = y1 + at; y < y2; y += stripBytes, h += 4) {
        const factor = v128.load32_splat(h);
        p1 = f32x4.add(p1, f32x4.mul(factor, v128.load(y)));
        p2 = f32x4.add(p2, f32x4.mul(factor, v128.load(y + (y2 - y1))));
      }
      const local = <usize>j * stripBytes + at;
      const own1 = v128.load(y1 + local);
      const own2 = v128.load(y2 + local);
      const g = v128.load(gradient + <usize>first * stripBytes + local);
      a11 = f32x4.add(a11, f32x4.mul(own1, p1));
      a12 = f32x4.add(a12, f32x4.mul(own2, p1));
      a22 = f32x4.add(a22, f32x4.mul(own2, p2));
      b1 = f32x4.add(b1, f32x4.mul(own1, g));
      b2 = f32x4.add(b2, f32x4.mul(own2, g));
    }
    const full = f32x4.mul(a11, a22);
    const determinant = f32x4.sub(full, f32x4.mul(a12, a12));
    const joint = f32x4.gt(determinant, f32x4.mul(full, f32x4.splat(singular)));
    const both = ratio(f32x4.sub(f32x4.mul(b1, a22), f32x4.mul(b2, a12)), determinant);
    const moveScale = v128.bitselect(both, ratio(b1, a11), joint);
    const free = ratio(f32x4.sub(f32x4.mul(b2, a11), f32x4.mul(b1, a12)), determinant);
    const moveOffset = v128.and(free, joint);
    const block = superScale + at;
    const s = storableHalf(f32x4.add(v128.load(block), moveScale));
    const ds = f32x4.sub(s, v128.load(block));
    let o = f32x4.splat(0);
    let change = f32x4.mul(ds, f32x4.sub(f32x4.mul(ds, a11), f32x4.add(b1, b1)));
    if (storage.affine) {
      o = storableHalf(f32x4.add(v128.load(superOffset + at), moveOffset));
      const dm = f32x4.sub(o, v128.load(superOffset + at));
      change = f32x4.add(change, f32x4.mul(dm, f32x4.sub(f32x4.mul(dm, a22), f32x4.add(b2, b2))));
      const cross = f32x4.mul(f32x4.mul(ds, dm), a12);
      change = f32x4.add(change, f32x4.add(cross, cross));
    }
    const accept = f32x4.lt(change, f32x4.splat(0));
    any = v128.or(any, accept);
    v128.store(memory + at, accept, loss);
    addGains(gains + (at << 1), v128.and(f32x4.neg(change), accept));
    v128.store(block, v128.bitselect(s, v128.load(block), accept));
    if (storage.affine) v128.store(superOffset + at, v128.bitselect(o, v128.load(superOffset + at), accept));
  }
  if (!v128.any_true(any)) return;
  for (let j = 0; j < columns; j += n) {
    setGroup((first + j) / n, first + j, scales, offsets, stride, row);
    for (let v = 0; v < vectors; v++) {
      const at = (<usize>v) << 4;
      const accept = v128.load(memory + at, loss);
      const s = f32x4.mul(v128.load(superScale + at), integersAt(scaleCode + (at >> 2), signed));
      v128.store(scale + at, v128.bitselect(s, v128.load(scale + at), accept));
      if (!storage.affine) continue;
      const o = f32x4.neg(f32x4.mul(v128.load(superOffset + at), integersAt(offsetCode + (at >> 2), false)));
      v128.store(offset + at, v128.bitselect(o, v128.load(offset + at), accept));
    }
    for (let k = j; k < j + n; k++) {
      const change = nextChange();
      for (let v = 0; v < 4; v++) {
        const at = (<usize>v) << 4;
        if (v >= vectors) {
          v128.store(change + at, f32x4.splat(0));
          continue;
        }
        const own = values + <usize>(first + k) * stripBytes + at;
        const level = levelOf(levels, codesAt(codes, first + k, v));
        const moved = f32x4.add(f32x4.mul(v128.load(scale + at), level), v128.load(offset + at));
        const value = v128.bitselect(moved, v128.load(own), v128.load(memory + at, loss));
        v128.store(change + at, f32x4.sub(v128.load(own), value));
        v128.store(own, value);
      }
      keepChange(first + k);
    }
  }
  pushChanges();
}

const singular: f32 = 1e-5;

function ratio(a: v128, b: v128): v128 {
  return v128.and(f32x4.div(a, b), f32x4.gt(b, f32x4.splat(0)));
}

/** The scale and offset that minimise the loss with codes held. */
function solveIdeal(first: i32, n: i32): void {
  const local = memory + arrays; // levels
  for (let j = 0; j < n; j++) {
    for (let v = 0; v < 4; v++) {
      v128.store(
        local + <usize>j * stripBytes + ((<usize>v) << 4),
        levelOf(levels, codesAt(codes, first + j, v)),
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
