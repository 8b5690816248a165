// f32 to smaller floats. Ranges start at multiples of 16 and arrays are padded to 64 bytes, so the loops may
// run over the end of their range by less than eight.

import { F32Array, Halves } from '../arrays';
import { toBrain, toHalf } from './half';

/** Floats [start, end) to the nearest halves. */
export function castToF16(start: i32, end: i32, from: F32Array, to: Halves): void {
  for (let i = start; i < end; i += 8) {
    const at = from + ((<usize>i) << 2);
    const halves = i16x8.narrow_i32x4_u(toHalf(v128.load(at)), toHalf(v128.load(at, 16)));
    v128.store(to + ((<usize>i) << 1), halves);
  }
}

/** Floats [start, end) to the nearest bfloat16s. */
export function castToBf16(start: i32, end: i32, from: F32Array, to: Halves): void {
  for (let i = start; i < end; i += 8) {
    const at = from + ((<usize>i) << 2);
    const brains = i16x8.narrow_i32x4_u(toBrain(v128.load(at)), toBrain(v128.load(at, 16)));
    v128.store(to + ((<usize>i) << 1), brains);
  }
}
