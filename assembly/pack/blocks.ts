// Blocks of a file from and to codes and scales.
//
// Files hold row after row, the kernels' arrays column after column. Between the two lie planes: byte p of the
// block of 64 rows, one row per lane. Filling planes from columns (and back) is bit fiddling with every row in
// its own lane, driven by a table of the format's bit fields; planes become file bytes by transposition.
import { F32Array, Optional, U8Array } from '../arrays';
import { fromHalf, toHalf } from '../numbers/half';
import { planesToRows, rowsToPlanes, tileRows } from './planes';
import { packTrits, unpackTrits } from './trits';

/** A run of bits that a byte of a block and an integer of the tensor have in common. */
@unmanaged
class BitField {
  /** Index of the integer among those of its kind in the block. */
  unit: u8;
  /** Which byte of the block. */
  byte: u8;
  /** 0: codes, 1: integer scales, 2: integer offsets. */
  source: u8;
  /** Lowest bit in the integer, after adding the bias. */
  from: u8;
  /** Lowest bit in the byte. */
  shift: u8;
  /** The run's bits, at bit 0. */
  mask: u8;
  /** What is added to the integer before it is stored, modulo 256. */
  bias: u8;
  /** 1 on the last field of a byte (packing) or of an integer (unpacking). */
  last: u8;
}

/** One tensor and its format. Arrays are from the first row on. */
@unmanaged
export class PackBlocks {
  blocks: i32;
  blockSize: i32;
  blockBytes: i32;
  groups: i32;
  stride: i32;
  /** Bytes of the block at which scale and offset stand; −1: there is none. */
  scaleAt: i32;
  offsetAt: i32;
  /** The scale is a power of two in one byte, not a half. */
  exponent: bool;
  /** Codes are base-3 digits. */
  trits: bool;
  fields: i32;
  /** Table of BitField, in order of bytes (packing) or of integers (unpacking). */
  table: U8Array;
  /** 16 bytes that rename codes. */
  rename: Optional<U8Array>;
  codes: U8Array;
  scaleCodes: Optional<U8Array>;
  offsetCodes: Optional<U8Array>;
  scales: F32Array;
  offsets: Optional<F32Array>;
  file: U8Array;
  /** `planeRoom` bytes for every thread. */
  planes: U8Array;
  planeRoom: i32;
  rows: i32;
  threads: i32;
}

/** Writes the blocks of rows [start, end). */
export function packBlocks(start: i32, end: i32, job: PackBlocks): void {
  const rowBytes = <usize>(job.blocks * job.blockBytes);
  const planes = planesOf(job, start);
  for (let row = start; row < end; row += <i32>tileRows) {
    const rows = min(<i32>tileRows, end - row);
    const file = job.file + <usize>row * rowBytes;
    for (let block = 0; block < job.blocks; block++) {
      if (job.trits) packTrits(codesOf(job, block, row), <usize>job.stride, planes);
      else packFields(job, block, row, planes);
      if (job.exponent) packExponents(scalesOf(job, job.scales, block, row), planes);
      else packHalves(scalesOf(job, job.scales, block, row), planes, job.scaleAt);
      if (job.offsetAt >= 0) packHalves(scalesOf(job, job.offsets, block, row), planes, job.offsetAt);
      planesToRows(planes, job.blockBytes, rows, file + <usize>(block * job.blockBytes), rowBytes);
    }
  }
}

/** Reads the blocks of rows [start, end). */
export function unpackBlocks(start: i32, end: i32, job: PackBlocks): void {
  const rowBytes = <usize>(job.blocks * job.blockBytes);
  const planes = planesOf(job, start);
  for (let row = start; row < end; row += <i32>tileRows) {
    const rows = min(<i32>tileRows, end - row);
    const file = job.file + <usize>row * rowBytes;
    for (let block = 0; block < job.blocks; block++) {
      rowsToPlanes(file + <usize>(block * job.blockBytes), rowBytes, rows, planes, job.blockBytes);
      if (job.exponent) unpackExponents(planes, rows, scalesOf(job, job.scales, block, row));
      else unpackHalves(planes, job.scaleAt, rows, scalesOf(job, job.scales, block, row));
      if (job.offsetAt >= 0) unpackHalves(planes, job.offsetAt, rows, scalesOf(job, job.offsets, block, row));
      if (job.trits) unpackTrits(planes, codesOf(job, block, row), <usize>job.stride, rows);
      else unpackFields(job, block, row, rows, planes);
    }
  }
}

/** A thread's own room. Threads start at multiples of at least rows / threads: no two get the same number. */
function planesOf(job: PackBlocks, start: i32): usize {
  const thread = <i32>((<i64>start * <i64>job.threads) / <i64>job.rows);
  return job.planes + <usize>(thread * job.planeRoom);
}

function codesOf(job: PackBlocks, block: i32, row: i32): usize {
  return job.codes + <usize>(block * job.blockSize) * <usize>job.stride + <usize>row;
}

function scalesOf(job: PackBlocks, scales: usize, block: i32, row: i32): usize {
  return scales + ((<usize>block * <usize>job.stride + <usize>row) << 2);
}

function integersOf(job: PackBlocks, field: BitField, block: i32, row: i32): usize {
  const perBlock = field.source ? job.groups : job.blockSize;
  const base = field.source == 0 ? job.codes : field.source == 1 ? job.scaleCodes : job.offsetCodes;
  return base + <usize>(block * perBlock + <i32>field.unit) * <usize>job.stride + <usize>row;
}

// A vector of bytes is shifted in 16-bit lanes: masking keeps the neighbour's bits out.
function toByte(integers: v128, bias: v128, from: i32, mask: v128, shift: i32): v128 {
  return i16x8.shl(v128.and(i16x8.shr_u(i8x16.add(integers, bias), from), mask), shift);
}

function fromByte(bytes: v128, shift: i32, mask: v128, from: i32): v128 {
  return i16x8.shl(v128.and(i16x8.shr_u(bytes, shift), mask), from);
}

function packFields(job: PackBlocks, block: i32, row: i32, planes: usize): void {
  const rename = job.rename
    ? v128.load(job.rename)
    : i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let c = i32x4.splat(0);
  let d = i32x4.splat(0);
  for (let i = 0; i < job.fields; i++) {
    const field = changetype<BitField>(job.table + ((<usize>i) << 3));
    const at = integersOf(job, field, block, row);
    const mask = i8x16.splat(<i8>field.mask);
    const bias = i8x16.splat(<i8>field.bias);
    const from = <i32>field.from;
    const shift = <i32>field.shift;
    let w = v128.load(at);
    let x = v128.load(at, 16);
    let y = v128.load(at, 32);
    let z = v128.load(at, 48);
    if (job.rename) {
      w = i8x16.swizzle(rename, w);
      x = i8x16.swizzle(rename, x);
      y = i8x16.swizzle(rename, y);
      z = i8x16.swizzle(rename, z);
    }
    a = v128.or(a, toByte(w, bias, from, mask, shift));
    b = v128.or(b, toByte(x, bias, from, mask, shift));
    c = v128.or(c, toByte(y, bias, from, mask, shift));
    d = v128.or(d, toByte(z, bias, from, mask, shift));
    if (field.last) {
      const to = planes + <usize>field.byte * tileRows;
      v128.store(to, a);
      v128.store(to, b, 16);
      v128.store(to, c, 32);
      v128.store(to, d, 48);
      a = i32x4.splat(0);
      b = i32x4.splat(0);
      c = i32x4.splat(0);
      d = i32x4.splat(0);
    }
  }
}

function unpackFields(job: PackBlocks, block: i32, row: i32, rows: i32, planes: usize): void {
  const rename = job.rename ? v128.load(job.rename) : i32x4.splat(0);
  const spare = planes + <usize>job.blockBytes * tileRows;
  let a = i32x4.splat(0);
  let b = i32x4.splat(0);
  let c = i32x4.splat(0);
  let d = i32x4.splat(0);
  for (let i = 0; i < job.fields; i++) {
    const field = changetype<BitField>(job.table + ((<usize>i) << 3));
    const at = planes + <usize>field.byte * tileRows;
    const mask = i8x16.splat(<i8>field.mask);
    const from = <i32>field.from;
    const shift = <i32>field.shift;
    a = v128.or(a, fromByte(v128.load(at), shift, mask, from));
    b = v128.or(b, fromByte(v128.load(at, 16), shift, mask, from));
    c = v128.or(c, fromByte(v128.load(at, 32), shift, mask, from));
    d = v128.or(d, fromByte(v128.load(at, 48), shift, mask, from));
    if (field.last) {
      if (job.rename) {
        a = i8x16.swizzle(rename, a);
        b = i8x16.swizzle(rename, b);
        c = i8x16.swizzle(rename, c);
        d = i8x16.swizzle(rename, d);
      }
      const bias = i8x16.splat(<i8>field.bias);
      const to = integersOf(job, field, block, row);
      const target = rows == <i32>tileRows ? to : spare;
      v128.store(target, i8x16.sub(a, bias));
      v128.store(target, i8x16.sub(b, bias), 16);
      v128.store(target, i8x16.sub(c, bias), 32);
      v128.store(target, i8x16.sub(d, bias), 48);
      if (target == spare) memory.copy(to, spare, rows);
      a = i32x4.splat(0);
      b = i32x4.splat(0);
      c = i32x4.splat(0);
      d = i32x4.splat(0);
    }
  }
}

function packHalves(scales: usize, planes: usize, at: i32): void {
  const low = planes + <usize>at * tileRows;
  const high = low + tileRows;
  const byte = i16x8.splat(0xff);
  for (let row: usize = 0; row < tileRows; row += 16) {
    const from = scales + (row << 2);
    const first = i16x8.narrow_i32x4_u(toHalf(v128.load(from)), toHalf(v128.load(from, 16)));
    const second = i16x8.narrow_i32x4_u(toHalf(v128.load(from, 32)), toHalf(v128.load(from, 48)));
    v128.store(low + row, i8x16.narrow_i16x8_u(v128.and(first, byte), v128.and(second, byte)));
    v128.store(high + row, i8x16.narrow_i16x8_u(i16x8.shr_u(first, 8), i16x8.shr_u(second, 8)));
  }
}

function unpackHalves(planes: usize, at: i32, rows: i32, scales: usize): void {
  const low = planes + <usize>at * tileRows;
  for (let row: usize = 0; row < <usize>rows; row++) {
    const bits = <i32>load<u8>(low + row) | ((<i32>load<u8>(low + tileRows + row)) << 8);
    store<f32>(scales + (row << 2), f32x4.extract_lane(fromHalf(i32x4.splat(bits)), 0));
  }
}

/** Byte 0 of a block: e of the scale 2^(e − 128), whose f32 is subnormal for e < 2. */
function packExponents(scales: usize, planes: usize): void {
  for (let row: usize = 0; row < tileRows; row++) {
    const bits = load<u32>(scales + (row << 2));
    const exponent = bits >> 23 ? (bits >> 23) + 1 : bits >> 22;
    store<u8>(planes + row, exponent);
  }
}

function unpackExponents(planes: usize, rows: i32, scales: usize): void {
  for (let row: usize = 0; row < <usize>rows; row++) {
    const exponent = <u32>load<u8>(planes + row);
    store<u32>(scales + (row << 2), exponent > 1 ? (exponent - 1) << 23 : 0x200000 << exponent);
  }
}
