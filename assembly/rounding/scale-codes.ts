// Scales that are values of a table times a unit, from and to their places in the table.

import { F32Array, U8Array } from '../arrays';
import { GridLevels, levelOf, nearestCode } from './levels';

@unmanaged
export class ScaleCodes {
  groups: i32;
  stride: i32;
  stored: GridLevels;
  unit: f32;
  scale: F32Array;
  codes: U8Array;
}

/** Codes of `groups` lines of scales that are values of the record `stored` times `unit`, rows [start, end). */
export function scalesToCodes(start: i32, end: i32, record: ScaleCodes): void {
  const groups = record.groups;
  const stride = record.stride;
  const stored = record.stored;
  const unit = record.unit;
  const scales = record.scale;
  const codes = record.codes;
  const inverse = f32x4.splat(unit);
  for (let group: usize = 0; group < <usize>groups; group++) {
    for (let row = <usize>start; row < <usize>end; row += 4) {
      const at = group * stride + row;
      const code = nearestCode(stored, f32x4.div(v128.load(scales + (at << 2)), inverse), 0);
      const words = i16x8.narrow_i32x4_u(code, code);
      v128.store_lane<u32>(codes + at, i8x16.narrow_i16x8_u(words, words), 0);
    }
  }
}

/** The inverse of scalesToCodes. */
export function codesToScales(start: i32, end: i32, record: ScaleCodes): void {
  const groups = record.groups;
  const stride = record.stride;
  const stored = record.stored;
  const unit = record.unit;
  const codes = record.codes;
  const scales = record.scale;
  for (let group: usize = 0; group < <usize>groups; group++) {
    for (let row = <usize>start; row < <usize>end; row += 4) {
      const at = group * stride + row;
      const bytes = v128.load32_zero(codes + at);
      const code = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(bytes));
      v128.store(scales + (at << 2), f32x4.mul(f32x4.splat(unit), levelOf(stored, code, 0)));
    }
  }
}
