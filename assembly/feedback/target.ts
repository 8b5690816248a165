// What the positions of a block are to be rounded to after the errors made so far.
import { F32Array, I32Array, U8Array } from '../arrays';
import { addDeltas, copyStrip, pushDeltas, stepColumns, stripBytes, stripVectors } from './strip';

@unmanaged
export class CurrentTarget {
  weight: F32Array;
  stride: i32;
  order: I32Array;
  upper: F32Array;
  width: i32;
  from: i32;
  to: i32;
  base: i32;
  sums: F32Array;
  target: F32Array;
  scratch: U8Array;
}

/**
 * Where the errors made so far would take positions [from, to) of a block if nothing more were rounded: as in
 * sweepBlock with ŵ = t. They stand for columns `base` … in any order; `target`, (to − from) × stride, receives
 * them in the order of columns. The other arguments are as for sweepBlock.
 */
export function currentTarget(start: i32, end: i32, record: CurrentTarget): void {
  const weight = record.weight;
  const stride = record.stride;
  const order = record.order;
  const upper = record.upper;
  const width = record.width;
  const from = record.from;
  const to = record.to;
  const base = record.base;
  const sums = record.sums;
  const target = record.target;
  const scratch = record.scratch;
  const pitch = (<usize>stride) << 2;
  const own = scratch + ((<usize>start * width) << 3);
  const localDelta = own + <usize>width * stripBytes;
  const skip = <usize>from * stripBytes;
  for (let row = start; row < end; row += 4 * stripVectors) {
    const vectors = min(stripVectors, (end - row) >> 2);
    const lane = (<usize>row) << 2;
    copyStrip(own + skip, stripBytes, sums + <usize>from * pitch + lane, pitch, to - from, vectors);
    for (let high = to; high > from; ) {
      const low = max(from, high - stepColumns);
      for (let j = high - 1; j >= low; j--) {
        addDeltas(own, localDelta, upper, width, j, high);
        const column = load<i32>(order + ((<usize>j) << 2));
        const w = weight + <usize>column * pitch + lane;
        const t = target + <usize>(column - base) * pitch + lane;
        const inverse = f32x4.splat(1 / load<f32>(upper + ((<usize>j * (width + 1)) << 2)));
        for (let at: usize = 0; at < (<usize>vectors) << 4; at += 16) {
          const local = <usize>j * stripBytes + at;
          const shift = f32x4.mul(v128.load(own + local), inverse);
          v128.store(t + at, f32x4.add(v128.load(w + at), shift));
          v128.store(localDelta + local, f32x4.neg(shift));
        }
      }
      pushDeltas(own, localDelta, upper, width, from, low, high);
      high = low;
    }
  }
}
