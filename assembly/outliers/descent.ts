// Coordinate descent on outliers s beside codes, ŵ = b + s, inside one block of columns (src/solver/outliers/values.ts).

import { F32Array, F64Array, U8Array } from '../arrays';
import { storableHalf } from '../numbers/storable';
import { GridLevels, levelOf, nearestCode } from '../rounding/levels';
import { maskOf } from './sparse';

/** The four rows at hand, in a thread's scratch; arrays of theirs begin at their first row. */
@unmanaged
class FourRows {
  width: usize;
  /** Bytes of a column of a panel. */
  pitch: usize;
  /** width × width: H of the block. */
  square: usize;
  /** width vectors: Δ H of the four rows. */
  gradient: usize;
  levels: GridLevels;
  group: usize;
  outliers: usize;
  marks: usize;
  deltas: usize;
  values: usize;
  codes: usize;
  scales: usize;
  offsets: usize;
  /** Four times the first of the rows. */
  lane: usize;
  /** Four doubles: by how much the loss fell. */
  gains: usize;
}

/** Of FourRows, rounded up so that what follows is aligned. */
const fourRowsBytes: i32 = 64;

/** What a weight would be without its outlier. */
let plainMove: v128 = f32x4.splat(0);
let plainCode: v128 = i32x4.splat(0);
let plainValue: v128 = f32x4.splat(0);

@unmanaged
export class DescendOutliers {
  stride: i32;
  /** width × stride: (Δ H) of the block, without damping. */
  product: F32Array;
  /** width × width: H of the block, `damping` on its diagonal included. */
  hessian: F32Array;
  width: i32;
  groupSize: i32;
  /** Of the block's groups, groups × stride; `offset` likewise. */
  scale: F32Array;
  offset: F32Array;
  levels: GridLevels;
  passes: i32;
  exchanges: i32;
  damping: f32;
  /** Codes of the block, and `values` what they stand for without outliers. */
  codes: U8Array;
  values: F32Array;
  /** The outliers; `marks` are not zero where they may be. */
  outliers: F32Array;
  marks: U8Array;
  /** Δ of the block, brought up to date. */
  deltas: F32Array;
  /** By how much the loss of every row fell is added. */
  gains: F64Array;
  /** `outlierScratch` bytes per sixteen rows. */
  scratch: U8Array;
}

/**
 * Improves the outliers of a block of `width` columns, rows [start, end); nothing that is done raises the loss.
 * Every pass goes over the marked columns, each taking the half that minimises tr(Δ H Δᵀ) with all else held; then
 * every row may exchange up to `exchanges` of them: the one whose loss a code makes up for best becomes a code, and
 * the weight that wins most becomes an outlier.
 */
export function descendOutliers(start: i32, end: i32, block: DescendOutliers): void {
  const product = block.product;
  const passes = block.passes;
  const exchanges = block.exchanges;
  const factor = f32x4.splat(block.damping);
  const width = <usize>block.width;
  const pitch = (<usize>block.stride) << 2;
  const own = block.scratch + <usize>(start >> 4) * <usize>outlierScratch(block.width);
  const rows = changetype<FourRows>(own);
  const gradient = own + fourRowsBytes;
  rows.width = width;
  rows.pitch = pitch;
  rows.square = block.hessian;
  rows.gradient = gradient;
  rows.levels = block.levels;
  rows.group = block.groupSize;
  for (let lane = (<usize>start) << 2; lane < (<usize>end) << 2; lane += 16) {
    rows.outliers = block.outliers + lane;
    rows.deltas = block.deltas + lane;
    rows.values = block.values + lane;
    rows.marks = block.marks + (lane >> 2);
    rows.codes = block.codes + (lane >> 2);
    rows.scales = block.scale + lane;
    rows.offsets = block.offset + lane;
    rows.gains = block.gains + (lane << 1);
    rows.lane = lane;
    for (let j: usize = 0; j < width; j++) {
      const own = f32x4.mul(factor, v128.load(rows.deltas + j * pitch));
      v128.store(gradient + (j << 4), f32x4.add(v128.load(product + lane + j * pitch), own));
    }
    for (let pass = 0; pass < passes; pass++) {
      let any = moveOutliers(rows);
      for (let row: usize = 0; row < 4; row++) {
        let left = exchanges;
        while (left > 0 && exchange(rows, row)) left--;
        if (left < exchanges) any = true;
      }
      if (!any) break;
    }
    moveOutliers(rows);
  }
}

/** Bytes of scratch per sixteen rows. */
export function outlierScratch(width: i32): i32 {
  return fourRowsBytes + 16 * width;
}

function diagonalOf(rows: FourRows, j: usize): f32 {
  const width = rows.width;
  const square = rows.square;
  return load<f32>(square + ((j * (width + 1)) << 2));
}

/** One pass over the marked columns; returns whether anything moved. */
function moveOutliers(rows: FourRows): bool {
  const width = rows.width;
  const pitch = rows.pitch;
  const gradient = rows.gradient;
  const outliers = rows.outliers;
  const marks = rows.marks;
  let moved = false;
  for (let j: usize = 0; j < width; j++) {
    if (load<u32>(marks + ((j * pitch) >> 2)) == 0) continue;
    const diagonal = diagonalOf(rows, j);
    if (!(diagonal > 0)) continue;
    const d = f32x4.splat(diagonal);
    const g = v128.load(gradient + (j << 4));
    const old = v128.load(outliers + j * pitch);
    const move = f32x4.sub(storableHalf(f32x4.add(old, f32x4.div(g, d))), old);
    const gain = f32x4.mul(move, f32x4.sub(f32x4.add(g, g), f32x4.mul(move, d)));
    const accept = v128.and(maskOf(marks + ((j * pitch) >> 2)), f32x4.gt(gain, f32x4.splat(0)));
    if (!v128.any_true(accept)) continue;
    moved = true;
    const kept = v128.and(move, accept);
    v128.store(outliers + j * pitch, f32x4.add(old, kept));
    addGain(rows.gains, v128.and(gain, accept));
    push(rows, j, kept);
  }
  return moved;
}

function addGain(gains: usize, gain: v128): void {
  v128.store(gains, f64x2.add(v128.load(gains), f64x2.promote_low_f32x4(gain)));
  const high = i8x16.shuffle(gain, gain, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  v128.store(gains + 16, f64x2.add(v128.load(gains + 16), f64x2.promote_low_f32x4(high)));
}

/** Lets Δ and the gradient follow a move of column j. */
function push(rows: FourRows, j: usize, move: v128): void {
  const width = rows.width;
  const pitch = rows.pitch;
  const square = rows.square;
  const gradient = rows.gradient;
  const deltas = rows.deltas;
  v128.store(deltas + j * pitch, f32x4.sub(v128.load(deltas + j * pitch), move));
  const row = square + ((j * width) << 2);
  for (let k: usize = 0; k < width; k++) {
    const at = gradient + (k << 4);
    v128.store(at, f32x4.sub(v128.load(at), f32x4.mul(move, v128.load32_splat(row + (k << 2)))));
  }
}

/** The best that column j can do with a code alone. */
function setPlain(rows: FourRows, j: usize): void {
  const pitch = rows.pitch;
  const gradient = rows.gradient;
  const outliers = rows.outliers;
  const values = rows.values;
  const levels = rows.levels;
  const scales = rows.scales;
  const offsets = rows.offsets;
  const group = rows.group;
  const line = (j / group) * pitch;
  const s = v128.load(scales + line);
  const o = v128.load(offsets + line);
  const now = f32x4.add(v128.load(values + j * pitch), v128.load(outliers + j * pitch));
  const target = f32x4.add(now, f32x4.div(v128.load(gradient + (j << 4)), f32x4.splat(diagonalOf(rows, j))));
  plainCode = nearestCode(levels, f32x4.div(f32x4.sub(target, o), s), rows.lane);
  plainValue = f32x4.add(f32x4.mul(s, levelOf(levels, plainCode, rows.lane)), o);
  plainMove = f32x4.sub(plainValue, now);
}

/** Exchanges one outlier of a row for another column; returns whether that lowered the loss. */
function exchange(rows: FourRows, row: usize): bool {
  const width = rows.width;
  const pitch = rows.pitch;
  const square = rows.square;
  const gradient = rows.gradient;
  const outliers = rows.outliers;
  const marks = rows.marks;
  const values = rows.values;
  const codes = rows.codes;
  const gains = rows.gains;
  const lanes = row << 2;
  let out = width;
  let least: f32 = -Infinity;
  for (let j: usize = 0; j < width; j++) {
    if (load<u8>(marks + ((j * pitch) >> 2) + row) == 0 || !(diagonalOf(rows, j) > 0)) continue;
    setPlain(rows, j);
    const move = laneOf(plainMove, row);
    const g = load<f32>(gradient + (j << 4) + lanes);
    const gain = move * (g + g - move * diagonalOf(rows, j));
    if (gain > least) {
      least = gain;
      out = j;
    }
  }
  if (out == width) return false;
  setPlain(rows, out);
  const leave = laneOf(plainMove, row);
  const coupling = square + ((out * width) << 2);
  let into = width;
  let most: f32 = 0;
  for (let j: usize = 0; j < width; j++) {
    const diagonal = diagonalOf(rows, j);
    if (load<u8>(marks + ((j * pitch) >> 2) + row) != 0 || !(diagonal > 0)) continue;
    const g = load<f32>(gradient + (j << 4) + lanes) - leave * load<f32>(coupling + (j << 2));
    const gain = (g * g) / diagonal;
    if (gain > most) {
      most = gain;
      into = j;
    }
  }
  if (into == width) return false;
  const g = load<f32>(gradient + (into << 4) + lanes) - leave * load<f32>(coupling + (into << 2));
  const come = laneOf(storableHalf(f32x4.splat(g / diagonalOf(rows, into))), 0);
  const gain = least + come * (g + g - come * diagonalOf(rows, into));
  // What rounding of the sums might make up is not worth it.
  if (!(gain > 1e-6 * most)) return false;
  store<u8>(codes + ((out * pitch) >> 2) + row, <u8>(<u32>laneBits(plainCode, row)));
  store<f32>(values + out * pitch + lanes, laneOf(plainValue, row));
  store<f32>(outliers + out * pitch + lanes, 0);
  store<u8>(marks + ((out * pitch) >> 2) + row, 0);
  store<f32>(outliers + into * pitch + lanes, come);
  store<u8>(marks + ((into * pitch) >> 2) + row, 1);
  store<f64>(gains + (lanes << 1), load<f64>(gains + (lanes << 1)) + <f64>gain);
  push(rows, out, onlyLane(leave, row));
  push(rows, into, onlyLane(come, row));
  return true;
}

function laneBits(x: v128, row: usize): i32 {
  if (row == 0) return i32x4.extract_lane(x, 0);
  if (row == 1) return i32x4.extract_lane(x, 1);
  if (row == 2) return i32x4.extract_lane(x, 2);
  return i32x4.extract_lane(x, 3);
}

function laneOf(x: v128, row: usize): f32 {
  return reinterpret<f32>(laneBits(x, row));
}

function onlyLane(x: f32, row: usize): v128 {
  return f32x4(row == 0 ? x : 0, row == 1 ? x : 0, row == 2 ? x : 0, row == 3 ? x : 0);
}
