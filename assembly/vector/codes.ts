// Codes of vectors: what they stand for, and their bits in a file (src/grid/vector/format.ts, pack.ts).
import { F32Array, I32Array, U8Array, U16Array } from '../arrays';
import { gather } from './search';

@unmanaged
export class DecodeVector {
  stride: i32;
  d: i32;
  columns: I32Array;
  scale: F32Array;
  codebook: F32Array;
  codes: U16Array;
  add: bool;
  values: F32Array;
}

/** values[column] = scale · codeword (added if `add`) for one vector's d columns, rows [start, end). */
export function decodeVector(start: i32, end: i32, record: DecodeVector): void {
  const stride = record.stride;
  const d = record.d;
  const columns = record.columns;
  const scale = record.scale;
  const codebook = record.codebook;
  const codes = record.codes;
  const add = record.add;
  const values = record.values;
  const column = (<usize>stride) << 2;
  for (let row = start; row < end; row += 4) {
    const lane = (<usize>row) << 2;
    const r = v128.load(scale + lane);
    for (let i: usize = 0; i < <usize>d; i++) {
      const at = values + <usize>load<i32>(columns + (i << 2)) * column + lane;
      const value = f32x4.mul(r, gather(codebook, d, i, codes + (lane >> 1)));
      v128.store(at, add ? f32x4.add(v128.load(at), value) : value);
    }
  }
}

@unmanaged
export class VectorCodes {
  codes: U16Array;
  bit: i32;
  bits: i32;
  rowBytes: i32;
  bytes: U8Array;
}

/** Puts one code per row, rows [start, end), at `bit` of rows of `rowBytes` zeroed bytes, lowest bits first. */
export function packCodes(start: i32, end: i32, record: VectorCodes): void {
  const codes = record.codes;
  const from = record.bit;
  const rowBytes = record.rowBytes;
  const into = record.bytes;
  for (let row: usize = start; row < <usize>end; row++) {
    let at = into + row * rowBytes + <usize>(from >> 3);
    let word = (<u32>load<u16>(codes + (row << 1))) << (from & 7);
    for (; word; word >>= 8, at++) store<u8>(at, load<u8>(at) | <u8>word);
  }
}

/** The inverse of packCodes; reads up to two bytes beyond the last. */
export function unpackCodes(start: i32, end: i32, record: VectorCodes): void {
  const codes = record.codes;
  const from = record.bit;
  const bits = record.bits;
  const rowBytes = record.rowBytes;
  const source = record.bytes;
  const mask = (1 << bits) - 1;
  for (let row: usize = start; row < <usize>end; row++) {
    const at = source + row * rowBytes + <usize>(from >> 3);
    const word = <u32>load<u16>(at) | ((<u32>load<u8>(at, 2)) << 16);
    store<u16>(codes + (row << 1), <u16>((word >> (from & 7)) & mask));
  }
}
