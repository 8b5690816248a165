// Greedy coordinate descent inside one block of columns: every row for itself moves the column that lowers its loss
// most (Gauss–Southwell rule), until none does or a limit is reached.

import { reciprocal } from '../fit/sums';
import { levelOf, nearestCode } from '../rounding/levels';
import {
  addGains,
  codes,
  firstLane,
  gains,
  gradient,
  levels,
  moves,
  setMoved,
  square,
  stripBytes,
  values,
  width,
} from './strip';

/** Moves per row, in units of the block's columns: rounding errors must not keep a descent going. */
const mostMoves: i32 = 4;

/**
 * Descends four rows, vector `v` of the strip; scales lie `pitch` bytes per group behind `scales`.
 */
export function descendGreedily(v: i32, groupSize: i32, scales: usize, offsets: usize, pitch: usize): void {
  const at = (<usize>v) << 4;
  const zero = f32x4.splat(0);
  const lane = firstLane + at;
  for (let left = mostMoves * width; left > 0; left--) {
    let best = zero;
    let bestMove = zero;
    let bestValue = zero;
    let bestCode = zero;
    let bestColumn = zero;
    for (let column = 0; column < width; column++) {
      const h = load<f32>(square + ((<usize>column * (width + 1)) << 2));
      if (!(h > 0)) continue;
      const group = <usize>(column / groupSize) * pitch + at;
      const s = v128.load(scales + group);
      const o = v128.load(offsets + group);
      const local = <usize>column * stripBytes + at;
      const g = v128.load(gradient + local);
      const old = v128.load(values + local);
      const target = f32x4.add(old, f32x4.mul(g, f32x4.splat(1 / h)));
      const code = nearestCode(levels, f32x4.mul(f32x4.sub(target, o), reciprocal(s)), lane);
      const value = f32x4.add(f32x4.mul(s, levelOf(levels, code, lane)), o);
      const move = f32x4.sub(value, old);
      const gain = f32x4.mul(move, f32x4.sub(f32x4.add(g, g), f32x4.mul(move, f32x4.splat(h))));
      const better = f32x4.gt(gain, best);
      best = v128.bitselect(gain, best, better);
      bestMove = v128.bitselect(move, bestMove, better);
      bestValue = v128.bitselect(value, bestValue, better);
      bestCode = v128.bitselect(code, bestCode, better);
      bestColumn = v128.bitselect(i32x4.splat(column), bestColumn, better);
    }
    const improves = f32x4.gt(best, zero);
    if (!v128.any_true(improves)) return;
    setMoved(true);
    addGains(gains + (at << 1), best);
    addGains(moves + (at << 1), v128.and(f32x4.splat(1), improves));
    const r0 = take(
      i32x4.extract_lane(bestColumn, 0),
      at + 0 * 4,
      f32x4.extract_lane(bestValue, 0),
      i32x4.extract_lane(bestCode, 0),
      i32x4.extract_lane(improves, 0),
    );
    const r1 = take(
      i32x4.extract_lane(bestColumn, 1),
      at + 1 * 4,
      f32x4.extract_lane(bestValue, 1),
      i32x4.extract_lane(bestCode, 1),
      i32x4.extract_lane(improves, 1),
    );
    const r2 = take(
      i32x4.extract_lane(bestColumn, 2),
      at + 2 * 4,
      f32x4.extract_lane(bestValue, 2),
      i32x4.extract_lane(bestCode, 2),
      i32x4.extract_lane(improves, 2),
    );
    const r3 = take(
      i32x4.extract_lane(bestColumn, 3),
      at + 3 * 4,
      f32x4.extract_lane(bestValue, 3),
      i32x4.extract_lane(bestCode, 3),
      i32x4.extract_lane(improves, 3),
    );
    for (let k: usize = 0; k < <usize>width; k++) {
      const own = gradient + k * stripBytes + at;
      const skip = k << 2;
      const h = f32x4(load<f32>(r0 + skip), load<f32>(r1 + skip), load<f32>(r2 + skip), load<f32>(r3 + skip));
      v128.store(own, f32x4.sub(v128.load(own), f32x4.mul(h, bestMove)));
    }
  }
}

/**
 * Moves one row's column if `improves`; returns its row of H. `lane` is the row's place in the strip, in bytes.
 */
function take(column: i32, lane: usize, value: f32, code: i32, improves: i32): usize {
  if (improves) {
    store<f32>(values + <usize>column * stripBytes + lane, value);
    store<u8>(codes + ((<usize>column) << 4) + (lane >> 2), <u8>code);
  }
  return square + ((<usize>column * width) << 2);
}
