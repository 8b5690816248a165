// Whole zero points z of offsets −scale · z.
import { F32Array, U8Array } from '../arrays';

@unmanaged
export class ZeroPoints {
  groups: i32;
  stride: i32;
  scale: F32Array;
  offset: F32Array;
  /** Written. */
  zeros: U8Array;
}

/** The zero points of scales and offsets, groups × stride, rows [start, end). */
export function offsetsToZeroPoints(start: i32, end: i32, record: ZeroPoints): void {
  const groups = record.groups;
  const stride = record.stride;
  const scales = record.scale;
  const offsets = record.offset;
  const zeros = record.zeros;
  for (let group: usize = 0; group < <usize>groups; group++) {
    for (let row = <usize>start; row < <usize>end; row++) {
      const place = group * stride + row;
      const s = load<f32>(scales + (place << 2));
      const zero: f32 = s ? nearest(-load<f32>(offsets + (place << 2)) / s) : 0;
      store<u8>(zeros + place, <u8>zero);
    }
  }
}

/** The inverse of offsetsToZeroPoints. */
export function zeroPointsToOffsets(start: i32, end: i32, record: ZeroPoints): void {
  const groups = record.groups;
  const stride = record.stride;
  const scales = record.scale;
  const zeros = record.zeros;
  const offsets = record.offset;
  for (let group: usize = 0; group < <usize>groups; group++) {
    for (let row = <usize>start; row < <usize>end; row++) {
      const place = group * stride + row;
      store<f32>(offsets + (place << 2), -(load<f32>(scales + (place << 2)) * <f32>load<u8>(zeros + place)));
    }
  }
}
