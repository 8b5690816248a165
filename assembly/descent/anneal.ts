// Annealing inside coordinate descent: every column of a row moves to the value nearest to its best one plus noise,
// whatever that does to the loss. While the noise falls from sweep to sweep, rows leave minima that no descent leaves.

import { reciprocal } from '../fit/sums';
import { advance, centred, fourStates } from '../numbers/noise';
import { levelOf, nearestCode } from '../rounding/levels';
import {
  addGains,
  codes,
  codesAt,
  current0,
  current1,
  current2,
  current3,
  firstLane,
  gains,
  keepChange,
  levels,
  nextChange,
  pullGradient,
  pushChanges,
  square,
  storeCodes,
  stripBytes,
  values,
  width,
} from './strip';

// Columns whose changes are pulled one by one; all others get them at once.
const stepColumns: i32 = 32;

/** States of the generators of noise (Marsaglia's xorshift), one per row of the strip. */
let state0: v128 = i32x4.splat(0);
let state1: v128 = i32x4.splat(0);
let state2: v128 = i32x4.splat(0);
let state3: v128 = i32x4.splat(0);
/** 6 × temperature of each row of the strip. */
let temperatures: usize = 0;

/**
 * Starts the noise of the strip that begins at `row`: it depends on nothing but the row and the seed.
 * @param heat 6 × temperature of each row of the strip
 */
export function setAnneal(row: i32, seed: i32, heat: usize): void {
  state0 = fourStates(row, seed);
  state1 = fourStates(row + 4, seed);
  state2 = fourStates(row + 8, seed);
  state3 = fourStates(row + 12, seed);
  temperatures = heat;
}

/** One noisy pass over the block; the noise of a column has variance T / (2 H_jj), as at temperature T. */
export function annealBlock(groupSize: i32, scales: usize, offsets: usize, pitch: usize, vectors: i32): void {
  for (let first = 0; first < width; first += groupSize) {
    const parameters = <usize>(first / groupSize) * pitch;
    const last = min(width, first + groupSize);
    for (let from = first; from < last; from += stepColumns) {
      const to = min(last, from + stepColumns);
      for (let column = from; column < to; column++) {
        annealColumn(column, scales + parameters, offsets + parameters, vectors);
      }
      pushChanges();
    }
  }
}

function annealColumn(column: i32, scale: usize, offset: usize, vectors: i32): void {
  const diagonal = load<f32>(square + ((<usize>column * (width + 1)) << 2));
  if (!(diagonal > 0)) return;
  pullGradient(column);
  state0 = advance(state0);
  state1 = advance(state1);
  state2 = advance(state2);
  state3 = advance(state3);
  let any = perturb(column, 0, current0, state0, diagonal, scale, offset);
  if (vectors > 1) any = v128.or(any, perturb(column, 1, current1, state1, diagonal, scale, offset));
  if (vectors > 2) any = v128.or(any, perturb(column, 2, current2, state2, diagonal, scale, offset));
  if (vectors > 3) any = v128.or(any, perturb(column, 3, current3, state3, diagonal, scale, offset));
  if (v128.any_true(any)) keepChange(column);
}

/** Moves four rows of a column; returns which of them changed. */
function perturb(
  column: i32,
  v: i32,
  g: v128,
  noise: v128,
  diagonal: f32,
  scale: usize,
  offset: usize,
): v128 {
  const at = (<usize>v) << 4;
  const own = values + <usize>column * stripBytes + at;
  const s = v128.load(scale + at);
  const o = v128.load(offset + at);
  const old = v128.load(own);
  const lane = firstLane + at;
  const inverse = f32x4.splat(1 / diagonal);
  // Uniform noise of variance σ² is √12 σ wide.
  const reach = f32x4.sqrt(f32x4.mul(v128.load(temperatures + at), inverse));
  const best = f32x4.add(old, f32x4.mul(g, inverse));
  const target = f32x4.add(best, f32x4.mul(centred(noise), reach));
  const code = nearestCode(levels, f32x4.mul(f32x4.sub(target, o), reciprocal(s)), lane);
  const value = f32x4.add(f32x4.mul(s, levelOf(levels, code, lane)), o);
  const move = f32x4.sub(value, old);
  const changed = f32x4.ne(move, f32x4.splat(0));
  v128.store(nextChange() + at, f32x4.neg(move));
  if (!v128.any_true(changed)) return changed;
  v128.store(own, value);
  storeCodes(codes, column, v, v128.bitselect(code, codesAt(codes, column, v), changed));
  const gain = f32x4.mul(move, f32x4.sub(f32x4.add(g, g), f32x4.mul(move, f32x4.splat(diagonal))));
  addGains(gains + (at << 1), gain);
  return changed;
}
