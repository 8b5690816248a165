// TQ1_0's codes: base-3 digits, five to a byte in bytes 0–47, four to a byte in bytes 48–51 of a block. A byte is
// ceil(256 · n / 243) for the number n of its digits, so that multiplying by 3 pushes the next digit out on top.
import { tileRows } from './planes';

const digitsPerByte: usize = 5;

/** Bytes 0–51 of the planes, from the codes of a block's 256 columns for 64 rows. */
export function packTrits(codes: usize, stride: usize, planes: usize): void {
  packRun(codes, stride, planes, 32, digitsPerByte);
  packRun(codes + 160 * stride, stride, planes + 32 * tileRows, 16, digitsPerByte);
  packRun(codes + 240 * stride, stride, planes + 48 * tileRows, 4, 4);
}

/** The codes of `rows` rows of a tile, from bytes 0–51 of the planes. */
export function unpackTrits(planes: usize, codes: usize, stride: usize, rows: i32): void {
  unpackRun(planes, codes, stride, rows, 32, digitsPerByte);
  unpackRun(planes + 32 * tileRows, codes + 160 * stride, stride, rows, 16, digitsPerByte);
  unpackRun(planes + 48 * tileRows, codes + 240 * stride, stride, rows, 4, 4);
}

/** `bytes` bytes: digit n of byte m is column n · bytes + m, the first digit the most significant. */
function packRun(codes: usize, stride: usize, planes: usize, bytes: usize, digits: usize): void {
  for (let byte: usize = 0; byte < bytes; byte++) {
    for (let row: usize = 0; row < tileRows; row += 8) {
      let number = i16x8.splat(0);
      for (let digit: usize = 0; digit < digitsPerByte; digit++) {
        number = i16x8.mul(number, i16x8.splat(3));
        if (digit < digits) {
          const at = codes + (digit * bytes + byte) * stride + row;
          number = i16x8.add(number, v128.load_ext<u8>(at));
        }
      }
      const packed = ceilScaled(number);
      v128.store64_lane(planes + byte * tileRows + row, i8x16.narrow_i16x8_u(packed, packed), 0);
    }
  }
}

/**
 * ceil(256 n / 243) = n + ceil(13 n / 243) for n < 243. The quotient is floor((13 n + 242) / 243); as
 * 13 n + 242 < 3389, floor(x / 243) = floor(x · 17261 / 2^22) there.
 */
function ceilScaled(number: v128): v128 {
  const x = i16x8.add(i16x8.mul(number, i16x8.splat(13)), i16x8.splat(242));
  const factor = i16x8.splat(17261);
  const lowQuotient = i32x4.shr_u(i32x4.extmul_low_i16x8_u(x, factor), 22);
  const highQuotient = i32x4.shr_u(i32x4.extmul_high_i16x8_u(x, factor), 22);
  return i16x8.add(number, i16x8.narrow_i32x4_u(lowQuotient, highQuotient));
}

function unpackRun(planes: usize, codes: usize, stride: usize, rows: i32, bytes: usize, digits: usize): void {
  const byteMask = i16x8.splat(0xff);
  for (let byte: usize = 0; byte < bytes; byte++) {
    for (let row: usize = 0; row < <usize>rows; row += 8) {
      let rest = v128.load_ext<u8>(planes + byte * tileRows + row);
      for (let digit: usize = 0; digit < digits; digit++) {
        const tripled = i16x8.mul(rest, i16x8.splat(3));
        const code = i16x8.shr_u(tripled, 8);
        rest = v128.and(tripled, byteMask);
        storeRows(codes + (digit * bytes + byte) * stride + row, code, <usize>rows - row);
      }
    }
  }
}

/** Stores up to eight rows' codes. */
function storeRows(to: usize, codes: v128, rows: usize): void {
  let bytes = i64x2.extract_lane(i8x16.narrow_i16x8_u(codes, codes), 0);
  if (rows >= 8) {
    store<i64>(to, bytes);
    return;
  }
  for (let row: usize = 0; row < rows; row++) {
    store<u8>(to + row, <u8>bytes);
    bytes >>= 8;
  }
}
