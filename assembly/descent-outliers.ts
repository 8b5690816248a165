// Coordinate descent on outliers s beside codes, ŵ = b + s, inside one block of columns (src/solver/outliers/values.ts).
import { levelOf, nearestCode, setLane } from './levels';
import { maskOf } from './outliers';
import { storableHalf } from './storable';

let width: usize = 0;
/** Bytes of a row of a panel. */
let pitch: usize = 0;
/** Four times the first of the four rows. */
let lane: usize = 0;
/** width × width: H of the block. */
let square: usize = 0;
/** width vectors: Δ H of the four rows. */
let gradient: usize = 0;
let outliers: usize = 0;
let marks: usize = 0;
let deltas: usize = 0;
let values: usize = 0;
let codes: usize = 0;
/** Four doubles: by how much the loss fell. */
let gains: usize = 0;
let levels: usize = 0;
let scales: usize = 0;
let offsets: usize = 0;
let group: usize = 0;

/** What a weight would be without its outlier. */
let plainMove: v128 = f32x4.splat(0);
let plainCode: v128 = i32x4.splat(0);
let plainValue: v128 = f32x4.splat(0);

/**
 * Improves the outliers of a block of `blockWidth` columns, rows [start, end); nothing that is done raises the loss.
 * Every pass goes over the marked columns, each taking the half that minimises tr(Δ H Δᵀ) with all else held; then
 * every row may exchange up to `exchanges` of them: the one whose loss a code makes up for best becomes a code, and
 * the weight that wins most becomes an outlier.
 * @param product blockWidth × stride: (Δ H) of the block, without damping
 * @param hessian blockWidth × blockWidth: H of the block, `damping` on its diagonal included
 * @param scaleLines of the block's groups, groups × stride; `offsetLines` likewise
 * @param record levels (assembly/levels.ts)
 * @param bytes codes of the block, `outputs` what they stand for, without outliers
 * @param sparse the outliers; `places` bytes that are not zero where they may be
 * @param differences Δ of the block, brought up to date
 * @param gained stride doubles: by how much the loss fell is added
 * @param scratch 64 · blockWidth bytes per sixteen rows
 */
export function descendOutliers(
  start: i32,
  end: i32,
  stride: i32,
  product: usize,
  hessian: usize,
  blockWidth: i32,
  groupSize: i32,
  scaleLines: usize,
  offsetLines: usize,
  record: usize,
  passes: i32,
  exchanges: i32,
  damping: f32,
  bytes: usize,
  outputs: usize,
  sparse: usize,
  places: usize,
  differences: usize,
  gained: usize,
  scratch: usize,
): void {
  width = blockWidth;
  pitch = (<usize>stride) << 2;
  square = hessian;
  levels = record;
  group = groupSize;
  gradient = scratch + ((<usize>start) << 2) * width;
  for (lane = (<usize>start) << 2; lane < (<usize>end) << 2; lane += 16) {
    outliers = sparse + lane;
    deltas = differences + lane;
    values = outputs + lane;
    marks = places + (lane >> 2);
    codes = bytes + (lane >> 2);
    scales = scaleLines + lane;
    offsets = offsetLines + lane;
    gains = gained + (lane << 1);
    setLane(lane);
    const factor = f32x4.splat(damping);
    for (let j: usize = 0; j < width; j++) {
      const own = f32x4.mul(factor, v128.load(deltas + j * pitch));
      v128.store(gradient + (j << 4), f32x4.add(v128.load(product + lane + j * pitch), own));
    }
    for (let pass = 0; pass < passes; pass++) {
      let any = moveOutliers();
      for (let row: usize = 0; row < 4; row++) {
        let left = exchanges;
        while (left > 0 && exchange(row)) left--;
        if (left < exchanges) any = true;
      }
      if (!any) break;
    }
    moveOutliers();
  }
}

function diagonalOf(j: usize): f32 {
  return load<f32>(square + ((j * (width + 1)) << 2));
}

/** One pass over the marked columns; returns whether anything moved. */
function moveOutliers(): bool {
  let moved = false;
  for (let j: usize = 0; j < width; j++) {
    if (load<u32>(marks + ((j * pitch) >> 2)) == 0) continue;
    const diagonal = diagonalOf(j);
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
    addGain(v128.and(gain, accept));
    push(j, kept);
  }
  return moved;
}

function addGain(gain: v128): void {
  v128.store(gains, f64x2.add(v128.load(gains), f64x2.promote_low_f32x4(gain)));
  const high = i8x16.shuffle(gain, gain, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  v128.store(gains + 16, f64x2.add(v128.load(gains + 16), f64x2.promote_low_f32x4(high)));
}

/** Lets Δ and the gradient follow a move of column j. */
function push(j: usize, move: v128): void {
  v128.store(deltas + j * pitch, f32x4.sub(v128.load(deltas + j * pitch), move));
  const row = square + ((j * width) << 2);
  for (let k: usize = 0; k < width; k++) {
    const at = gradient + (k << 4);
    v128.store(at, f32x4.sub(v128.load(at), f32x4.mul(move, v128.load32_splat(row + (k << 2)))));
  }
}

/** The best that column j can do with a code alone. */
function setPlain(j: usize): void {
  const line = (j / group) * pitch;
  const s = v128.load(scales + line);
  const o = v128.load(offsets + line);
  const now = f32x4.add(v128.load(values + j * pitch), v128.load(outliers + j * pitch));
  const target = f32x4.add(now, f32x4.div(v128.load(gradient + (j << 4)), f32x4.splat(diagonalOf(j))));
  plainCode = nearestCode(levels, f32x4.div(f32x4.sub(target, o), s));
  plainValue = f32x4.add(f32x4.mul(s, levelOf(levels, plainCode)), o);
  plainMove = f32x4.sub(plainValue, now);
}

/** Exchanges one outlier of a row for another column; returns whether that lowered the loss. */
function exchange(row: usize): bool {
  const lanes = row << 2;
  let out = width;
  let least: f32 = -Infinity;
  for (let j: usize = 0; j < width; j++) {
    if (load<u8>(marks + ((j * pitch) >> 2) + row) == 0 || !(diagonalOf(j) > 0)) continue;
    setPlain(j);
    const move = laneOf(plainMove, row);
    const g = load<f32>(gradient + (j << 4) + lanes);
    const gain = move * (g + g - move * diagonalOf(j));
    if (gain > least) {
      least = gain;
      out = j;
    }
  }
  if (out == width) return false;
  setPlain(out);
  const leave = laneOf(plainMove, row);
  const coupling = square + ((out * width) << 2);
  let into = width;
  let most: f32 = 0;
  for (let j: usize = 0; j < width; j++) {
    const diagonal = diagonalOf(j);
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
  const come = laneOf(storableHalf(f32x4.splat(g / diagonalOf(into))), 0);
  const gain = least + come * (g + g - come * diagonalOf(into));
  // What rounding of the sums might make up is not worth it.
  if (!(gain > 1e-6 * most)) return false;
  store<u8>(codes + ((out * pitch) >> 2) + row, <u8>(<u32>laneBits(plainCode, row)));
  store<f32>(values + out * pitch + lanes, laneOf(plainValue, row));
  store<f32>(outliers + out * pitch + lanes, 0);
  store<u8>(marks + ((out * pitch) >> 2) + row, 0);
  store<f32>(outliers + into * pitch + lanes, come);
  store<u8>(marks + ((into * pitch) >> 2) + row, 1);
  store<f64>(gains + (lanes << 1), load<f64>(gains + (lanes << 1)) + <f64>gain);
  push(out, onlyLane(leave, row));
  push(into, onlyLane(come, row));
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
