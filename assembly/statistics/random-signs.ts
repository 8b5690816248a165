import { F32Array } from '../arrays';

/**
 * Fills rows [start, end) of `cols` values with −1 and 1, each as likely as the other (Rademacher's distribution). Every row
 * has a stream of its own, named by the seed and its place from `first` on, so that threads change nothing.
 */
export function fillSigns(start: i32, end: i32, cols: i32, seed: u32, first: i32, values: F32Array): void {
  for (let row = start; row < end; row++) {
    const at = values + ((<usize>row * <usize>cols) << 2);
    let state = mixed(mixed(seed) ^ <u32>(first + row));
    let bits: u32 = 0;
    for (let col = 0; col < cols; col++) {
      if ((col & 31) == 0) {
        state += 0x6d2b79f5;
        bits = mixed(state);
      }
      store<f32>(at + ((<usize>col) << 2), bits & 1 ? 1 : -1);
      bits >>= 1;
    }
  }
}

/** Every bit of the result depends on every bit of the argument (the finaliser of MurmurHash3). */
function mixed(x: u32): u32 {
  x = (x ^ (x >> 16)) * 0x85ebca6b;
  x = (x ^ (x >> 13)) * 0xc2b2ae35;
  return x ^ (x >> 16);
}
