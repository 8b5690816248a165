import { storableHalf } from './storable';

/**
 * Scales (and offsets) that let the levels span each group's weights from the smallest to the largest, for rows
 * [start, end). Without offsets, to both sides of zero: scale = 2 · max |w| / (levels − 1), so that −min · scale is half
 * a step beyond the largest. With offsets the range takes zero in, and offsets are whole multiples of the scale, so that
 * zero stays zero. Halves.
 * @param weight panel of `cols` columns
 * @param spread the highest level minus the lowest
 * @param scale groups × stride; `offset` likewise
 */
export function fitRange(
  start: i32,
  end: i32,
  weight: usize,
  stride: i32,
  cols: i32,
  groupSize: i32,
  spread: f32,
  affine: i32,
  scale: usize,
  offset: usize,
): void {
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
