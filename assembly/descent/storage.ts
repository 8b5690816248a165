// What a format stores in the place of scales and offsets, while coordinate descent chooses them.
import { F32Array, Optional, U8Array } from '../arrays';

/** What scales and offsets a format may store (src/solver/descent/storage.ts). */
@unmanaged
export class StorageRules {
  /**
   * 1: halves, 2: powers of two, 3: integers times halves of a super-block, 4: halves, and offsets that are whole
   * multiples of them.
   */
  kind: i32;
  affine: bool;
  /** Of kind 4 the lowest zero point, and offsetMax the highest. */
  scaleMin: f32;
  scaleMax: f32;
  offsetMax: f32;
  trials: i32;
  /** Columns of a super-block. */
  superColumns: i32;
  /** What a two-level format stores, from the first column of the block on. */
  superScale: Optional<F32Array>;
  superOffset: Optional<F32Array>;
  scaleCode: Optional<U8Array>;
  offsetCode: Optional<U8Array>;
}

export let memory: usize = 0;
export let storage: StorageRules = changetype<StorageRules>(0);

/** Of the group at hand, at the strip's first row. */
export let scale: usize = 0;
export let offset: usize = 0;
export let superScale: usize = 0;
export let superOffset: usize = 0;
export let scaleCode: usize = 0;
export let offsetCode: usize = 0;

/** Room in `memory` for what trials share; arrays of columns lie behind it. */
export const arrays: usize = 4096;

export function setRefit(room: usize, rules: StorageRules): void {
  memory = room;
  storage = rules;
}

/** Columns of a super-block; 0 where the format has none. */
export function superColumnsOf(): i32 {
  return storage.kind == 3 ? storage.superColumns : 0;
}

/** Sets the addresses of a group that starts at column `first`. */
export function setGroup(group: i32, first: i32, scales: usize, offsets: usize, stride: i32, row: i32): void {
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
export function integersAt(at: usize, signed: bool): v128 {
  let code = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
  if (signed) code = i32x4.shr_s(i32x4.shl(code, 24), 24);
  return f32x4.convert_i32x4_s(code);
}

/** Relative determinant below which single precision cannot tell scale from offset. */
export const singular: f32 = 1e-5;
