// Blocks of GGUF's IQ types: eight columns at a time are a point of a lattice (or two of four columns each), with signs and
// scales beside it. The order of operations is that of ggml's dequantize_row_iq* (llama.cpp v0.5.0).
import { F32Array, U8Array } from '../arrays';
import { fromHalf } from '../numbers/half';

/** Rows of which a block is decoded before the next block: one cache line of a column. */
const tileRows = 16;
const columns = 256;

/** What iq1_s and iq1_m move points by. */
const shift: f32 = 0.125;

@unmanaged
export class LatticeBlocks {
  /** 0: iq1_s, 1: iq1_m, 2: iq2_xxs, 3: iq2_xs, 4: iq2_s, 5: iq3_xxs, 6: iq3_s. */
  kind: i32;
  blocks: i32;
  blockBytes: i32;
  stride: i32;
  /** Points of the lattice, 8 bytes each (4 of iq3). */
  points: U8Array;
  file: U8Array;
  /** 256 · blocks × stride. */
  values: F32Array;
}

/** Decodes the blocks of rows [start, end). */
export function decodeLattice(start: i32, end: i32, job: LatticeBlocks): void {
  const rowBytes = <usize>(job.blocks * job.blockBytes);
  const pitch = (<usize>job.stride) << 2;
  for (let tile = start; tile < end; tile += tileRows) {
    const last = min(end, tile + tileRows);
    for (let block = 0; block < job.blocks; block++) {
      const column = job.values + <usize>(block * columns) * pitch;
      for (let row = tile; row < last; row++) {
        const from = job.file + <usize>row * rowBytes + <usize>(block * job.blockBytes);
        const to = column + ((<usize>row) << 2);
        if (job.kind == 0) decodeIq1s(from, job.points, to, pitch);
        else if (job.kind == 1) decodeIq1m(from, job.points, to, pitch);
        else if (job.kind == 2) decodeIq2xxs(from, job.points, to, pitch);
        else if (job.kind == 3) decodeIq2xs(from, job.points, to, pitch);
        else if (job.kind == 4) decodeIq2s(from, job.points, to, pitch);
        else if (job.kind == 5) decodeIq3xxs(from, job.points, to, pitch);
        else decodeIq3s(from, job.points, to, pitch);
      }
    }
  }
}

function half(bits: u32): f32 {
  return f32x4.extract_lane(fromHalf(i32x4.splat(bits)), 0);
}

/** `count` columns: scale · coordinate, negated where a bit of `signs` is set. */
function put(to: usize, pitch: usize, point: usize, count: usize, scale: f32, signs: u32): void {
  for (let i: usize = 0; i < count; i++) {
    const value = scale * <f32>(<i32>load<u8>(point + i));
    store<f32>(to + i * pitch, (signs >> <u32>i) & 1 ? -value : value);
  }
}

/** Eight columns: scale · (coordinate + offset). */
function putShifted(to: usize, pitch: usize, point: usize, scale: f32, offset: f32): void {
  for (let i: usize = 0; i < 8; i++)
    store<f32>(to + i * pitch, scale * (<f32>(<i32>load<i8>(point + i)) + offset));
}

/** Seven signs and an eighth that makes the number of negative ones even. */
function evenSigns(signs: u32): u32 {
  return signs | ((popcnt(signs) & 1) << 7);
}

/** Scales of iq2: quarters of a half and a 4-bit number. */
function quarter(d: f32, code: u32): f32 {
  return d * (<f32>0.5 + <f32>code) * <f32>0.25;
}

/** Scales of iq1 and iq3_s: d (2 code + 1). */
function oddMultiple(d: f32, code: u32): f32 {
  const factor: u32 = 2 * code + 1;
  return d * <f32>factor;
}

/** 66 bytes: a half; of every 32 columns four indices, then four times seven signs and four bits of scale. */
function decodeIq2xxs(from: usize, points: usize, to: usize, pitch: usize): void {
  const d = half(load<u16>(from));
  for (let group: usize = 0; group < 32; group++) {
    const word = from + 2 + (group >> 2) * 8;
    const packed = load<u32>(word + 4);
    const point = points + ((<usize>load<u8>(word + (group & 3))) << 3);
    const signs = evenSigns((packed >> (7 * (<u32>group & 3))) & 127);
    put(to + 8 * group * pitch, pitch, point, 8, quarter(d, packed >> 28), signs);
  }
}

/** 74 bytes: a half; 32 words of nine bits of index and seven signs; four bits of scale for every 16 columns. */
function decodeIq2xs(from: usize, points: usize, to: usize, pitch: usize): void {
  const d = half(load<u16>(from));
  for (let group: usize = 0; group < 32; group++) {
    const word = <u32>load<u16>(from + 2 + 2 * group);
    const scale = quarter(d, scaleOf(from + 66, group));
    const point = points + ((<usize>(word & 511)) << 3);
    put(to + 8 * group * pitch, pitch, point, 8, scale, evenSigns(word >> 9));
  }
}

/** 82 bytes: a half; 32 low bytes of indices; 32 bytes of signs; two more bits of each index; scales as in iq2_xs. */
function decodeIq2s(from: usize, points: usize, to: usize, pitch: usize): void {
  const d = half(load<u16>(from));
  for (let group: usize = 0; group < 32; group++) {
    const high = (<u32>load<u8>(from + 66 + (group >> 2)) >> (2 * (<u32>group & 3))) & 3;
    const index = <u32>load<u8>(from + 2 + group) | (high << 8);
    const scale = quarter(d, scaleOf(from + 74, group));
    put(to + 8 * group * pitch, pitch, points + ((<usize>index) << 3), 8, scale, load<u8>(from + 34 + group));
  }
}

/** The 4-bit scale of the 16 columns that a group of eight belongs to. */
function scaleOf(scales: usize, group: usize): u32 {
  return (<u32>load<u8>(scales + (group >> 2)) >> (4 * ((<u32>group >> 1) & 1))) & 15;
}

/** 98 bytes: a half; 64 indices; of every 32 columns four times seven signs and four bits of scale. */
function decodeIq3xxs(from: usize, points: usize, to: usize, pitch: usize): void {
  const d = half(load<u16>(from));
  for (let group: usize = 0; group < 32; group++) {
    const packed = load<u32>(from + 66 + (group >> 2) * 4);
    const scale = d * (<f32>0.5 + <f32>(packed >> 28)) * <f32>0.5;
    const signs = evenSigns((packed >> (7 * (<u32>group & 3))) & 127);
    for (let part: usize = 0; part < 2; part++) {
      const point = points + ((<usize>load<u8>(from + 2 + 2 * group + part)) << 2);
      put(to + (8 * group + 4 * part) * pitch, pitch, point, 4, scale, signs >> (4 * <u32>part));
    }
  }
}

/**
 * 110 bytes: a half; 64 low bytes of indices; their ninth bits; 32 bytes of signs; four bits of scale for every 32 columns.
 */
function decodeIq3s(from: usize, points: usize, to: usize, pitch: usize): void {
  const d = half(load<u16>(from));
  for (let group: usize = 0; group < 32; group++) {
    const code = (<u32>load<u8>(from + 106 + (group >> 3)) >> (4 * ((<u32>group >> 2) & 1))) & 15;
    const scale = oddMultiple(d, code);
    const signs = <u32>load<u8>(from + 74 + group);
    const ninth = <u32>load<u8>(from + 66 + (group >> 2)) >> (2 * (<u32>group & 3));
    for (let part: usize = 0; part < 2; part++) {
      const index = <u32>load<u8>(from + 2 + 2 * group + part) | (((ninth >> <u32>part) & 1) << 8);
      const point = points + ((<usize>index) << 2);
      put(to + (8 * group + 4 * part) * pitch, pitch, point, 4, scale, signs >> (4 * <u32>part));
    }
  }
}

/**
 * 50 bytes: a half; 32 low bytes of indices; for every 32 columns three more bits of each, three bits of scale and the sign
 * of the shift.
 */
function decodeIq1s(from: usize, points: usize, to: usize, pitch: usize): void {
  const d = half(load<u16>(from));
  for (let group: usize = 0; group < 32; group++) {
    const word = <u32>load<u16>(from + 34 + (group >> 2) * 2);
    const index = <u32>load<u8>(from + 2 + group) | (((word >> (3 * (<u32>group & 3))) & 7) << 8);
    const scale = oddMultiple(d, (word >> 12) & 7);
    const offset = word & 0x8000 ? -shift : shift;
    putShifted(to + 8 * group * pitch, pitch, points + ((<usize>index) << 3), scale, offset);
  }
}

/**
 * 56 bytes: 32 low bytes of indices; 32 times three more bits and the sign of the shift; four words of four times three bits
 * of scale for 16 columns each, whose highest four bits together are a half.
 */
function decodeIq1m(from: usize, points: usize, to: usize, pitch: usize): void {
  const scales = from + 48;
  let bits: u32 = 0;
  for (let word: usize = 0; word < 4; word++)
    bits |= (<u32>load<u16>(scales + 2 * word) >> 12) << (4 * <u32>word);
  const d = half(bits);
  for (let group: usize = 0; group < 32; group++) {
    const high = (<u32>load<u8>(from + 32 + (group >> 1)) >> (4 * (<u32>group & 1))) & 15;
    const index = <u32>load<u8>(from + group) | ((high & 7) << 8);
    const code = <u32>load<u16>(scales + (group >> 3) * 2) >> (3 * ((<u32>group >> 1) & 3));
    const scale = oddMultiple(d, code & 7);
    const offset = high & 8 ? -shift : shift;
    putShifted(to + 8 * group * pitch, pitch, points + ((<usize>index) << 3), scale, offset);
  }
}
