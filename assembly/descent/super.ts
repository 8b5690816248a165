// The second level of K-quants inside coordinate descent: the halves of a super-block by least squares under the full H
// of its columns, integers and codes held.

import { ratio } from '../fit/sums';
import { storableHalf } from '../numbers/storable';
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
  square,
  stripBytes,
  values,
  vectors,
  width,
} from './strip';

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
        v128.store(
          y1 + local,
          f32x4.mul(sc, levelOf(levels, codesAt(codes, first + k, v), firstLane + ((<usize>v) << 4))),
        );
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
    v128.store(memory + at, accept);
    addGains(gains + (at << 1), v128.and(f32x4.neg(change), accept));
    v128.store(block, v128.bitselect(s, v128.load(block), accept));
    if (storage.affine) v128.store(superOffset + at, v128.bitselect(o, v128.load(superOffset + at), accept));
  }
  if (!v128.any_true(any)) return;
  for (let j = 0; j < columns; j += n) {
    setGroup((first + j) / n, first + j, scales, offsets, stride, row);
    for (let v = 0; v < vectors; v++) {
      const at = (<usize>v) << 4;
      const accept = v128.load(memory + at);
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
        const level = levelOf(levels, codesAt(codes, first + k, v), firstLane + ((<usize>v) << 4));
        const moved = f32x4.add(f32x4.mul(v128.load(scale + at), level), v128.load(offset + at));
        const value = v128.bitselect(moved, v128.load(own), v128.load(memory + at));
        v128.store(change + at, f32x4.sub(v128.load(own), value));
        v128.store(own, value);
      }
      keepChange(first + k);
    }
  }
  pushChanges();
}
