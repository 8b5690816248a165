// Bits of codes from and to planes of their own (src/grid/tersor/nested.ts). Codes and planes are cols × stride bytes.
import { U8Array } from '../arrays';

@unmanaged
export class TakeBits {
  cols: i32;
  stride: i32;
  codes: U8Array;
  shift: i32;
  width: i32;
  plane: U8Array;
}

/** Rows [start, end), multiples of four: bits [shift, shift + width) of the codes. */
export function takeBits(start: i32, end: i32, record: TakeBits): void {
  const cols = record.cols;
  const stride = record.stride;
  const codes = record.codes;
  const shift = record.shift;
  const width = record.width;
  const plane = record.plane;
  const mask: u32 = ((1 << width) - 1) * 0x01010101;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = col * stride + <usize>start; at < col * stride + <usize>end; at += 4) {
      store<u32>(plane + at, (load<u32>(codes + at) >> shift) & mask);
    }
  }
}

@unmanaged
export class PutBits {
  cols: i32;
  stride: i32;
  codes: U8Array;
  shift: i32;
  plane: U8Array;
}

/** Sets bits of the codes, which are zero, to those of a plane. */
export function putBits(start: i32, end: i32, record: PutBits): void {
  const cols = record.cols;
  const stride = record.stride;
  const codes = record.codes;
  const shift = record.shift;
  const plane = record.plane;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = col * stride + <usize>start; at < col * stride + <usize>end; at += 4) {
      store<u32>(codes + at, load<u32>(codes + at) | (load<u32>(plane + at) << shift));
    }
  }
}
