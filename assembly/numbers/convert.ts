// Storage types to f32. Ranges start at multiples of 16 and arrays are padded to 64 bytes, so the SIMD
// loops may run over the end of their range by less than a vector.
import { F32Array, Halves, U8Array } from '../arrays';
import { fromBrain, fromHalf } from './half';

/** f16 to f32; exact. */
export function convertF16(start: i32, end: i32, from: Halves, to: F32Array): void {
  for (let i = start; i < end; i += 4) {
    v128.store(to + ((<usize>i) << 2), fromHalf(v128.load_ext<u16>(from + ((<usize>i) << 1))));
  }
}

/** bf16 to f32; exact. */
export function convertBf16(start: i32, end: i32, from: Halves, to: F32Array): void {
  for (let i = start; i < end; i += 4) {
    v128.store(to + ((<usize>i) << 2), fromBrain(v128.load_ext<u16>(from + ((<usize>i) << 1))));
  }
}

/** f64 to f32, rounded to nearest even; beyond f32's range it becomes infinite. */
export function convertF64(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<f64>(start, end, from, to);
}

export function convertI8(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<i8>(start, end, from, to);
}

export function convertU8(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<u8>(start, end, from, to);
}

export function convertI16(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<i16>(start, end, from, to);
}

export function convertU16(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<u16>(start, end, from, to);
}

export function convertI32(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<i32>(start, end, from, to);
}

export function convertU32(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<u32>(start, end, from, to);
}

export function convertI64(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<i64>(start, end, from, to);
}

export function convertU64(start: i32, end: i32, from: U8Array, to: F32Array): void {
  convert<u64>(start, end, from, to);
}

function convert<T>(start: i32, end: i32, from: usize, to: usize): void {
  for (let i = start; i < end; i++) {
    store<f32>(to + ((<usize>i) << 2), <f32>load<T>(from + <usize>i * sizeof<T>()));
  }
}

/** Index of the first NaN or infinity among `count` f32 values, or −1. */
export function firstNotFinite(values: F32Array, count: i32): i32 {
  const magnitudeBits = i32x4.splat(0x7fffffff);
  const largest = i32x4.splat(0x7f7fffff);
  const whole = count & ~15;
  let i = 0;
  for (; i < whole; i += 16) {
    const at = values + ((<usize>i) << 2);
    const a = i32x4.max_s(v128.and(v128.load(at), magnitudeBits), v128.and(v128.load(at, 16), magnitudeBits));
    const b = i32x4.max_s(
      v128.and(v128.load(at, 32), magnitudeBits),
      v128.and(v128.load(at, 48), magnitudeBits),
    );
    if (v128.any_true(i32x4.gt_s(i32x4.max_s(a, b), largest))) break;
  }
  for (; i < count; i++) {
    if ((load<i32>(values + ((<usize>i) << 2)) & 0x7fffffff) > 0x7f7fffff) return i;
  }
  return -1;
}
