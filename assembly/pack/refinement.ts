// Rows of small integers in few bits (src/grid/tersor/refinement.ts). An integer is coded as: is it zero; its sign; is its
// magnitude above 1, 2, …; from `longest` on the rest in Elias's gamma code. How likely each answer is follows from the
// magnitudes of the two neighbours that are known already: the one before in the row and the one above.

import { F32Array, U8Array } from '../arrays';
import {
  beginDecoding,
  beginEncoding,
  decodeBit,
  decodedAll,
  decodeRawBit,
  encodeBit,
  encodeRawBit,
  endEncoding,
  modelBytes,
  resetModels,
} from './range-coder';

/** Neighbours' magnitudes are told apart up to here, each. */
const largestNeighbour: i32 = 2;
const contexts: i32 = 2 * largestNeighbour + 1;

/** Magnitudes up to this are coded by their own models. */
const longest: i32 = 15;
const signModel: i32 = contexts * longest;
const modelCount: i32 = signModel + 1;

/** Bytes of scratch for rows of so many columns. */
export function refinementScratch(cols: i32): i32 {
  return modelCount * <i32>modelBytes + cols;
}

function modelOf(models: usize, context: i32, place: i32): usize {
  return models + <usize>(context * longest + place) * modelBytes;
}

function encodeInteger(models: usize, context: i32, value: i32): void {
  const magnitude = abs(value);
  encodeBit(modelOf(models, context, 0), magnitude != 0 ? 1 : 0);
  if (magnitude == 0) return;
  encodeBit(models + <usize>signModel * modelBytes, value < 0 ? 1 : 0);
  for (let place = 1; place < longest; place++) {
    const more: u32 = magnitude > place ? 1 : 0;
    encodeBit(modelOf(models, context, place), more);
    if (!more) return;
  }
  const rest = magnitude - longest + 1;
  const bits = 31 - clz(rest);
  for (let i = 0; i < bits; i++) encodeRawBit(1);
  encodeRawBit(0);
  for (let i = bits - 1; i >= 0; i--) encodeRawBit((<u32>rest >>> i) & 1);
}

function decodeInteger(models: usize, context: i32): i32 {
  if (!decodeBit(modelOf(models, context, 0))) return 0;
  const negative = decodeBit(models + <usize>signModel * modelBytes);
  let magnitude = 1;
  while (magnitude < longest && decodeBit(modelOf(models, context, magnitude))) magnitude++;
  if (magnitude == longest) {
    let bits = 0;
    while (bits < 16 && decodeRawBit()) bits++;
    let rest = 1;
    for (let i = 0; i < bits; i++) rest = (rest << 1) | <i32>decodeRawBit();
    magnitude += rest - 1;
  }
  return negative ? -magnitude : magnitude;
}

@unmanaged
export class EncodeRefinement {
  /** cols × stride bytes; an integer is code − zero. */
  codes: U8Array;
  stride: i32;
  rows: i32;
  cols: i32;
  zero: i32;
  scratch: U8Array;
  /** Room for four bytes an integer and eight more. */
  into: U8Array;
}

/** @returns bytes written */
export function encodeRefinement(record: EncodeRefinement): i32 {
  const codes = record.codes;
  const stride = record.stride;
  const rows = record.rows;
  const cols = record.cols;
  const zero = record.zero;
  const scratch = record.scratch;
  const into = record.into;
  const above = scratch + <usize>modelCount * modelBytes;
  resetModels(scratch, modelCount);
  memory.fill(above, 0, cols);
  beginEncoding(into);
  for (let row = 0; row < rows; row++) {
    let before: i32 = 0;
    for (let col = 0; col < cols; col++) {
      const value = <i32>load<u8>(codes + <usize>(col * stride + row)) - zero;
      encodeInteger(scratch, before + load<u8>(above + col), value);
      before = min(largestNeighbour, abs(value));
      store<u8>(above + col, before);
    }
  }
  return <i32>(endEncoding() - into);
}

@unmanaged
export class DecodeRefinement {
  bytes: U8Array;
  size: i32;
  rows: i32;
  cols: i32;
  steps: F32Array;
  scratch: U8Array;
  values: F32Array;
}

/**
 * Adds steps[column] · integer to row-major values, rows × cols.
 * @returns whether the bytes were those of so many integers, neither too few nor too many
 */
export function decodeRefinement(record: DecodeRefinement): bool {
  const bytes = record.bytes;
  const size = record.size;
  const rows = record.rows;
  const cols = record.cols;
  const steps = record.steps;
  const scratch = record.scratch;
  const values = record.values;
  const above = scratch + <usize>modelCount * modelBytes;
  resetModels(scratch, modelCount);
  memory.fill(above, 0, cols);
  beginDecoding(bytes, size);
  for (let row = 0; row < rows; row++) {
    let before: i32 = 0;
    for (let col = 0; col < cols; col++) {
      const value = decodeInteger(scratch, before + load<u8>(above + col));
      before = min(largestNeighbour, abs(value));
      store<u8>(above + col, before);
      const target = values + ((<usize>(row * cols + col)) << 2);
      store<f32>(target, load<f32>(target) + load<f32>(steps + ((<usize>col) << 2)) * <f32>value);
    }
  }
  return decodedAll();
}
