import { F32Array } from '../arrays';
import { storableHalf } from '../numbers/storable';

@unmanaged
export class FitRange {
  /** Panel of `cols` columns. */
  weight: F32Array;
  stride: i32;
  cols: i32;
  groupSize: i32;
  /** The highest level minus the lowest. */
  spread: f32;
  /**
   * 0: no offsets, 1: whole multiples of the scale as halves, from 2 on: exact ones, the lowest zero point and 2.
   */
  affine: i32;
  /** groups × stride; `offset` likewise. */
  scale: F32Array;
  offset: F32Array;
}

/**
 * Scales (and offsets) that let the levels span each group's weights from the smallest to the largest, for rows
 * [start, end). Without offsets, to both sides of zero: scale = 2 · max |w| / (levels − 1), so that −min · scale is half
 * a step beyond the largest. With offsets the range takes zero in, and offsets are whole multiples of the scale, so that
 * zero stays zero. Halves.
 */
export function fitRange(start: i32, end: i32, record: FitRange): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const groupSize = record.groupSize;
  const spread = record.spread;
  const affine = record.affine;
  const scale = record.scale;
  const offset = record.offset;
  const column = (<usize>stride) << 2;
  const inverse = f32x4.splat(1 / spread);
  for (let col = 0; col < cols; col += groupSize) {
    const n = min(groupSize, cols - col);
    for (let row = start; row < end; row += 4) {
      const lane = (<usize>row) << 2;
      let from = weight + <usize>col * column + lane;
      let low = f32x4.splat(0);
      let high = low;
      for (let j = 0; j < n; j++, from += column) {
        const v = v128.load(from);
        low = f32x4.pmin(low, v);
        high = f32x4.pmax(high, v);
      }
      const at = <usize>(col / groupSize) * column + lane;
      if (affine) {
        const s = storableHalf(f32x4.mul(f32x4.sub(high, low), inverse));
        const top = f32x4.splat(<f32>min(0, 2 - affine));
        const zero = f32x4.pmin(top, f32x4.nearest(f32x4.div(low, s)));
        const shift = v128.bitselect(f32x4.mul(s, zero), f32x4.splat(0), f32x4.gt(s, f32x4.splat(0)));
        v128.store(scale + at, s);
        // With whole zero points (from 2 on) offsets are not stored, and are exact.
        v128.store(offset + at, affine >= 2 ? shift : storableHalf(shift));
      } else {
        const largest = f32x4.pmax(high, f32x4.neg(low));
        v128.store(scale + at, storableHalf(f32x4.mul(f32x4.add(largest, largest), inverse)));
      }
    }
  }
}
