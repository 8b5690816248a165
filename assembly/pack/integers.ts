// Bit packing of tersor's own grids (layout: src/grid/tersor/rows.ts), and the sums that one scale for a whole tensor is
// fitted from.
import { F32Array, Optional, U8Array } from '../arrays';
import { fromHalf, toHalf } from '../numbers/half';

// Eight codes fill whole bytes, whatever their width.
const chunk: i32 = 8;

// Rows that advance together, so that the bytes of each stay in the cache until their line is complete.
const tile: i32 = 16;

@unmanaged
export class IntegerRows {
  codes: U8Array;
  stride: i32;
  cols: i32;
  blockCols: i32;
  bits: i32;
  scale: Optional<F32Array>;
  offset: Optional<F32Array>;
  scaleCode: Optional<U8Array>;
  lines: Optional<F32Array>;
  lineCount: i32;
  lineBytes: i32;
  rowBytes: i32;
  bytes: U8Array;
}

/**
 * Packs rows [start, end) of codes (cols × stride) into rows of `rowBytes`, block after block: the codes of
 * `blockCols` columns, the first in the lowest bits, then the scale and the offset as halves and the scale's code as
 * a byte (each only if there is one); after the last block the row's own `lines` of numbers, as halves or as
 * signed bytes.
 */
export function packIntegers(start: i32, end: i32, record: IntegerRows): void {
  const codes = record.codes;
  const stride = record.stride;
  const cols = record.cols;
  const blockCols = record.blockCols;
  const bits = record.bits;
  const scales = record.scale;
  const offsets = record.offset;
  const scaleCodes = record.scaleCode;
  const lines = record.lines;
  const lineCount = record.lineCount;
  const lineBytes = record.lineBytes;
  const rowBytes = record.rowBytes;
  const into = record.bytes;
  const codeBytes = (blockCols * bits + 7) >> 3;
  const blockBytes = codeBytes + parameterBytes(scales, offsets, scaleCodes);
  const blocks = cols / blockCols;
  for (let top = start; top < end; top += tile) {
    const bottom = min(top + tile, end);
    for (let block = 0; block < blocks; block++) {
      const first = codes + <usize>(block * blockCols) * <usize>stride;
      for (let col = 0; col < blockCols; col += chunk) {
        const width = min(chunk, blockCols - col);
        const bytes = (width * bits + 7) >> 3;
        for (let row = top; row < bottom; row++) {
          let word: u64 = 0;
          let code = first + <usize>col * <usize>stride + <usize>row;
          for (let i = 0; i < width; i++, code += stride) word |= (<u64>load<u8>(code)) << (i * bits);
          const to = into + <usize>row * rowBytes + <usize>(block * blockBytes + ((col * bits) >> 3));
          for (let i = 0; i < bytes; i++) store<u8>(to + i, <u8>(word >> (i << 3)));
        }
      }
      for (let row = top; row < bottom; row++) {
        const parameter = <usize>block * <usize>stride + <usize>row;
        let to = into + <usize>row * rowBytes + <usize>(block * blockBytes + codeBytes);
        if (scales) to = storeHalf(to, scales + (parameter << 2));
        if (offsets) to = storeHalf(to, offsets + (parameter << 2));
        if (scaleCodes) store<u8>(to, load<u8>(scaleCodes + parameter));
      }
    }
    for (let row = top; row < bottom; row++) {
      let to = into + <usize>row * rowBytes + <usize>(blocks * blockBytes);
      for (let line = 0; line < lineCount; line++) {
        const number = lines + ((<usize>line * <usize>stride + <usize>row) << 2);
        if (lineBytes == 2) to = storeHalf(to, number);
        else store<i8>(to++, <i8>load<f32>(number));
      }
    }
  }
}

/** The inverse of packIntegers. */
export function unpackIntegers(start: i32, end: i32, record: IntegerRows): void {
  const codes = record.codes;
  const stride = record.stride;
  const cols = record.cols;
  const blockCols = record.blockCols;
  const bits = record.bits;
  const scales = record.scale;
  const offsets = record.offset;
  const scaleCodes = record.scaleCode;
  const lines = record.lines;
  const lineCount = record.lineCount;
  const lineBytes = record.lineBytes;
  const rowBytes = record.rowBytes;
  const from = record.bytes;
  const codeBytes = (blockCols * bits + 7) >> 3;
  const blockBytes = codeBytes + parameterBytes(scales, offsets, scaleCodes);
  const blocks = cols / blockCols;
  const mask = (1 << bits) - 1;
  for (let top = start; top < end; top += tile) {
    const bottom = min(top + tile, end);
    for (let block = 0; block < blocks; block++) {
      const first = codes + <usize>(block * blockCols) * <usize>stride;
      for (let col = 0; col < blockCols; col += chunk) {
        const width = min(chunk, blockCols - col);
        const bytes = (width * bits + 7) >> 3;
        for (let row = top; row < bottom; row++) {
          let word: u64 = 0;
          const source = from + <usize>row * rowBytes + <usize>(block * blockBytes + ((col * bits) >> 3));
          for (let i = 0; i < bytes; i++) word |= (<u64>load<u8>(source + i)) << (i << 3);
          let code = first + <usize>col * <usize>stride + <usize>row;
          for (let i = 0; i < width; i++, code += stride) store<u8>(code, <u8>((word >> (i * bits)) & mask));
        }
      }
      for (let row = top; row < bottom; row++) {
        const parameter = <usize>block * <usize>stride + <usize>row;
        let source = from + <usize>row * rowBytes + <usize>(block * blockBytes + codeBytes);
        if (scales) source = loadHalf(source, scales + (parameter << 2));
        if (offsets) source = loadHalf(source, offsets + (parameter << 2));
        if (scaleCodes) store<u8>(scaleCodes + parameter, load<u8>(source));
      }
    }
    for (let row = top; row < bottom; row++) {
      let source = from + <usize>row * rowBytes + <usize>(blocks * blockBytes);
      for (let line = 0; line < lineCount; line++) {
        const number = lines + ((<usize>line * <usize>stride + <usize>row) << 2);
        if (lineBytes == 2) source = loadHalf(source, number);
        else store<f32>(number, <f32>load<i8>(source++));
      }
    }
  }
}

function parameterBytes(scales: usize, offsets: usize, scaleCodes: usize): i32 {
  return (scales ? 2 : 0) + (offsets ? 2 : 0) + (scaleCodes ? 1 : 0);
}

/** Returns the address after the half. */
function storeHalf(to: usize, value: usize): usize {
  store<u16>(to, <u16>i32x4.extract_lane(toHalf(v128.load32_splat(value)), 0));
  return to + 2;
}

/** Returns the address after the half. */
function loadHalf(half: usize, into: usize): usize {
  store<f32>(into, f32x4.extract_lane(fromHalf(i32x4.splat(load<u16>(half))), 0));
  return half + 2;
}
