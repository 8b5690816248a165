// Noise of annealing: a generator for each row, four rows in a vector, so that threads do not change what it gives.
import { I32Array } from '../arrays';

/**
 * States of the generators of four rows (Marsaglia's xorshift), which depend on nothing but the row and the seed.
 */
export function fourStates(row: i32, seed: i32): v128 {
  const rows = i32x4.add(i32x4.splat(row), i32x4(0, 1, 2, 3));
  // Multiplications and shifts of MurmurHash3's finalizer, so that neighbours have nothing in common.
  let x = i32x4.add(i32x4.mul(rows, i32x4.splat(0x9e3779b9)), i32x4.splat(seed * 0x7feb352d + 0x2545f491));
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 16)), i32x4.splat(0x85ebca6b));
  x = i32x4.mul(v128.xor(x, i32x4.shr_u(x, 13)), i32x4.splat(0xc2b2ae35));
  x = v128.xor(x, i32x4.shr_u(x, 16));
  // Zero is the one state that never changes.
  return v128.or(x, i32x4.splat(1 << 30));
}

export function advance(x: v128): v128 {
  x = v128.xor(x, i32x4.shl(x, 13));
  x = v128.xor(x, i32x4.shr_u(x, 17));
  return v128.xor(x, i32x4.shl(x, 5));
}

/** Uniform between −1/2 and 1/2. */
export function centred(state: v128): v128 {
  return f32x4.mul(f32x4.convert_i32x4_s(state), f32x4.splat(1 / 4294967296));
}

/** States of rows [start, end), one each (i32). */
export function startNoise(start: i32, end: i32, seed: i32, states: I32Array): void {
  for (let row = start; row < end; row += 4) v128.store(states + ((<usize>row) << 2), fourStates(row, seed));
}
