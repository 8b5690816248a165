// Codes and stored scales to values: `scale · level + offset`, the product rounded to f32 before the sum.

import { F32Array, I32Array, Optional, U8Array } from '../arrays';
import { GridLevels, levelOf } from './levels';

/** Codes of four rows as i32 lanes. */
function fourCodes(at: usize): v128 {
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

@unmanaged
export class Dequantize {
  cols: i32;
  groupSize: i32;
  stride: i32;
  levels: GridLevels;
  codes: U8Array;
  scale: F32Array;
  offset: F32Array;
  values: F32Array;
}

/**
 * Values of `cols` columns, rows [start, end) in multiples of four; `levels` is the record of
 * assembly/rounding/levels.ts.
 */
export function dequantize(start: i32, end: i32, record: Dequantize): void {
  const cols = record.cols;
  const groupSize = record.groupSize;
  const stride = record.stride;
  const levels = record.levels;
  const codes = record.codes;
  const scales = record.scale;
  const offsets = record.offset;
  const values = record.values;
  for (let col = 0; col < cols; col++) {
    const group = (<usize>(col / groupSize) * <usize>stride) << 2;
    const column = <usize>col * <usize>stride;
    for (let row = start; row < end; row += 4) {
      const at = (<usize>row) << 2;
      const level = levelOf(levels, fourCodes(codes + column + <usize>row), at);
      const product = f32x4.mul(v128.load(scales + group + at), level);
      v128.store(values + (column << 2) + at, f32x4.add(product, v128.load(offsets + group + at)));
    }
  }
}

@unmanaged
export class EffectiveScales {
  groups: i32;
  groupsPerBlock: i32;
  stride: i32;
  signed: bool;
  superScale: F32Array;
  superOffset: Optional<F32Array>;
  scaleCode: U8Array;
  offsetCode: Optional<U8Array>;
  scale: F32Array;
  offset: F32Array;
}

/**
 * `scale = superScale · scaleCode` (codes are signed bytes if `signed`) and, unless `superOffsets` is 0,
 * `offset = −(superOffset · offsetCode)`, for `groups` groups, rows [start, end) in multiples of four.
 */
export function effectiveScales(start: i32, end: i32, record: EffectiveScales): void {
  const groups = record.groups;
  const groupsPerBlock = record.groupsPerBlock;
  const stride = record.stride;
  const signed = record.signed;
  const superScales = record.superScale;
  const superOffsets = record.superOffset;
  const scaleCodes = record.scaleCode;
  const offsetCodes = record.offsetCode;
  const scales = record.scale;
  const offsets = record.offset;
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

@unmanaged
export class DequantizeGathered {
  codes: U8Array;
  stride: i32;
  cols: i32;
  /** Group of every column. */
  groupOf: I32Array;
  low: i32;
  scale: F32Array;
  offset: F32Array;
  values: F32Array;
}

/**
 * Values of rows [start, end) of codes (cols × stride) whose columns belong to groups in any order:
 * `scale[group] · (code + low) + offset[group]`.
 */
export function dequantizeGathered(start: i32, end: i32, record: DequantizeGathered): void {
  const codes = record.codes;
  const stride = record.stride;
  const cols = record.cols;
  const groupOf = record.groupOf;
  const low = record.low;
  const scales = record.scale;
  const offsets = record.offset;
  const values = record.values;
  for (let col = 0; col < cols; col++) {
    const line = <usize>col * <usize>stride;
    const group = <usize>load<i32>(groupOf + ((<usize>col) << 2)) * <usize>stride;
    for (let row = <usize>start; row < <usize>end; row++) {
      const at = (group + row) << 2;
      const level = <f32>(<i32>load<u8>(codes + line + row) + low);
      store<f32>(values + ((line + row) << 2), load<f32>(scales + at) * level + load<f32>(offsets + at));
    }
  }
}
