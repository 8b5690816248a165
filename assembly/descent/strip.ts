// What coordinate descent works on: a strip of sixteen rows (one cache line of every column) of one block of
// columns. With Δ = W − Ŵ, the gradient G = Δ H of the block is kept exact by pushing every change of a value
// to all columns of the block. Arrays here hold four vectors per column.
import { GridLevels } from '../rounding/levels';

export const stripVectors: i32 = 4;
export const stripBytes: usize = 64;

/** H of the block, width × width. */
export let square: usize = 0;
export let width: i32 = 0;

/** Of the strip, width × 16 floats each. */
export let gradient: usize = 0;
export let values: usize = 0;

/** Codes as bytes, width × 16. */
export let codes: usize = 0;

/** Changed columns since the last push: their positions in the block, and old − new values. */
let positions: usize = 0;
let changes: usize = 0;
let changed: i32 = 0;

/** Of the grid, and of the rows of the strip: four times the first, and how many vectors there are. */
export let levels: GridLevels = changetype<GridLevels>(0);
export let firstLane: usize = 0;
export let vectors: i32 = 0;
/** Per row, in double precision: by how much the loss fell, and how many columns moved. */
export let gains: usize = 0;
export let moves: usize = 0;
/** Has any value changed since it was last set to false? */
export let moved: bool = false;

/** Bytes of a strip per column, without what assembly/descent/refit.ts adds. */
export const columnBytes: usize = 3 * 64 + 16 + 16;

/** Lays the strip out in `memory`; returns the address behind it. */
export function setStrip(memory: usize, hessian: usize, columns: i32): usize {
  square = hessian;
  width = columns;
  const size = <usize>columns;
  gradient = memory;
  values = gradient + size * stripBytes;
  changes = values + size * stripBytes;
  codes = changes + size * stripBytes;
  positions = codes + (size << 4);
  changed = 0;
  return positions + (size << 4);
}

/**
 * Sets the rows of the strip.
 * @param lane four times the first row
 * @param gained of all rows, `pitch / 2` doubles; behind it as many for the moves
 */
export function setRows(grid: GridLevels, lane: usize, count: i32, gained: usize, pitch: usize): void {
  levels = grid;
  firstLane = lane;
  vectors = count;
  gains = gained + (lane << 1);
  moves = gains + (pitch << 1);
}

export function setMoved(value: bool): void {
  moved = value;
}

/** Copies `columns` columns of up to four vectors. */
export function copyColumns(
  to: usize,
  toPitch: usize,
  from: usize,
  fromPitch: usize,
  columns: i32,
  vectors: i32,
): void {
  for (let j: usize = 0; j < <usize>columns; j++) {
    for (let at: usize = 0; at < (<usize>vectors) << 4; at += 16) {
      v128.store(to + j * toPitch + at, v128.load(from + j * fromPitch + at));
    }
  }
}

/** Codes of vector v of a column, as i32 lanes. */
export function codesAt(base: usize, column: i32, v: i32): v128 {
  const at = base + ((<usize>column) << 4) + ((<usize>v) << 2);
  return i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(at)));
}

export function storeCodes(base: usize, column: i32, v: i32, lanes: v128): void {
  const at = base + ((<usize>column) << 4) + ((<usize>v) << 2);
  const words = i16x8.narrow_i32x4_u(lanes, lanes);
  v128.store32_lane(at, i8x16.narrow_i16x8_u(words, words), 0);
}

/** Where the four vectors of a column's change go before `keepChange` counts them. */
export function nextChange(): usize {
  return changes + <usize>changed * stripBytes;
}

export function keepChange(column: i32): void {
  store<i32>(positions + ((<usize>changed) << 2), column);
  changed++;
  moved = true;
}

export let current0: v128 = i32x4.splat(0);
export let current1: v128 = i32x4.splat(0);
export let current2: v128 = i32x4.splat(0);
export let current3: v128 = i32x4.splat(0);

/** Sets `current` to the gradient of a column, changes not yet pushed included. */
export function pullGradient(column: i32): void {
  const own = gradient + <usize>column * stripBytes;
  const row = square + ((<usize>column * width) << 2);
  let g0 = v128.load(own);
  let g1 = v128.load(own, 16);
  let g2 = v128.load(own, 32);
  let g3 = v128.load(own, 48);
  let d = changes;
  const end = positions + ((<usize>changed) << 2);
  for (let at = positions; at < end; at += 4, d += stripBytes) {
    const factor = v128.load32_splat(row + ((<usize>load<i32>(at)) << 2));
    g0 = f32x4.add(g0, f32x4.mul(factor, v128.load(d)));
    g1 = f32x4.add(g1, f32x4.mul(factor, v128.load(d, 16)));
    g2 = f32x4.add(g2, f32x4.mul(factor, v128.load(d, 32)));
    g3 = f32x4.add(g3, f32x4.mul(factor, v128.load(d, 48)));
  }
  current0 = g0;
  current1 = g1;
  current2 = g2;
  current3 = g3;
}

/** Adds what the changes do to the gradient to all columns of the block, and forgets them. */
export function pushChanges(): void {
  if (!changed) return;
  const end = positions + ((<usize>changed) << 2);
  const pitch = (<usize>width) << 2;
  let row = square;
  let own = gradient;
  let column = 0;
  for (; column + 2 <= width; column += 2) {
    let a0 = v128.load(own);
    let a1 = v128.load(own, 16);
    let a2 = v128.load(own, 32);
    let a3 = v128.load(own, 48);
    let b0 = v128.load(own, 64);
    let b1 = v128.load(own, 80);
    let b2 = v128.load(own, 96);
    let b3 = v128.load(own, 112);
    let d = changes;
    for (let at = positions; at < end; at += 4, d += stripBytes) {
      const h = row + ((<usize>load<i32>(at)) << 2);
      const ha = v128.load32_splat(h);
      const hb = v128.load32_splat(h + pitch);
      const d0 = v128.load(d);
      a0 = f32x4.add(a0, f32x4.mul(ha, d0));
      b0 = f32x4.add(b0, f32x4.mul(hb, d0));
      const d1 = v128.load(d, 16);
      a1 = f32x4.add(a1, f32x4.mul(ha, d1));
      b1 = f32x4.add(b1, f32x4.mul(hb, d1));
      const d2 = v128.load(d, 32);
      a2 = f32x4.add(a2, f32x4.mul(ha, d2));
      b2 = f32x4.add(b2, f32x4.mul(hb, d2));
      const d3 = v128.load(d, 48);
      a3 = f32x4.add(a3, f32x4.mul(ha, d3));
      b3 = f32x4.add(b3, f32x4.mul(hb, d3));
    }
    v128.store(own, a0);
    v128.store(own, a1, 16);
    v128.store(own, a2, 32);
    v128.store(own, a3, 48);
    v128.store(own, b0, 64);
    v128.store(own, b1, 80);
    v128.store(own, b2, 96);
    v128.store(own, b3, 112);
    own += 2 * stripBytes;
    row += 2 * pitch;
  }
  if (column < width) {
    pullGradient(column);
    v128.store(own, current0);
    v128.store(own, current1, 16);
    v128.store(own, current2, 32);
    v128.store(own, current3, 48);
  }
  changed = 0;
}

/** Adds four floats to four doubles. */
export function addGains(into: usize, x: v128): void {
  const high = i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
  v128.store(into, f64x2.add(v128.load(into), f64x2.promote_low_f32x4(x)));
  v128.store(into, f64x2.add(v128.load(into, 16), f64x2.promote_low_f32x4(high)), 16);
}
