// Codes and stored scales to values: `scale · level + offset`, the product rounded to f32 before the sum.

import { levelOf, setLane } from './levels';

/** Codes of four rows as i32 lanes. */
function fourCodes(at: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

/** Values of `cols` columns, rows [start, end) in multiples of four; `levels` is the record of assembly/levels.ts. */
export function dequantize(
  start: i32,
  end: i32,
  cols: i32,
  groupSize: i32,
  stride: i32,
  levels: usize,
  codes: usize,
  scales: usize,
  offsets: usize,
  values: usize,
): void {
  for (let col = 0; col < cols; col++) {
    const group = (<usize>(col / groupSize) * <usize>stride) << 2;
    const column = <usize>col * <usize>stride;
    for (let row = start; row < end; row += 4) {
      const at = (<usize>row) << 2;
      setLane(at);
      const level = levelOf(levels, fourCodes(codes + column + <usize>row));
      const product = f32x4.mul(v128.load(scales + group + at), level);
      v128.store(values + (column << 2) + at, f32x4.add(product, v128.load(offsets + group + at)));
    }
  }
}

/**
 * `scale = superScale · scaleCode` (codes are signed bytes if `signed`) and, unless `superOffsets` is 0,
 * `offset = −(superOffset · offsetCode)`, for `groups` groups, rows [start, end) in multiples of four.
 */
export function effectiveScales(
  start: i32,
  end: i32,
  groups: i32,
  groupsPerBlock: i32,
  stride: i32,
  signed: i32,
  superScales: usize,
  superOffsets: usize,
  scaleCodes: usize,
  offsetCodes: usize,
  scales: usize,
  offsets: usize,
): void {
  for (let group = 0; group < groups; group++) {
    const block = <usize>(group / groupsPerBlock) * <usize>stride;
    const line = <usize>group * <usize>stride;
    for (let row = start; row < end; row += 4) {
      const inBlock = (block + <usize>row) << 2;
      const inGroup = line + <usize>row;
      let code = fourCodes(scaleCodes + inGroup);
      if (signed) code = i32x4.shr_s(i32x4.shl(code, 24), 24);
      v128.store(
        scales + (inGroup << 2),
        f32x4.mul(v128.load(superScales + inBlock), f32x4.convert_i32x4_s(code)),
      );
      if (!superOffsets) continue;
      const offset = f32x4.convert_i32x4_s(fourCodes(offsetCodes + inGroup));
      v128.store(offsets + (inGroup << 2), f32x4.neg(f32x4.mul(v128.load(superOffsets + inBlock), offset)));
    }
  }
}
