// One row of a panel in ascending order, with prefix sums: all that one-dimensional clustering needs, since the
// clusters of sorted numbers are ranges.

/** Numbers in the row. */
export let count: i32 = 0;

/** The row's numbers as f32, ascending. */
let numbers: usize = 0;

/** count + 1 doubles each: Σ importance and Σ importance · x of the numbers before. */
let weights: usize = 0;
let sums: usize = 0;
let keys: usize = 0;
let otherKeys: usize = 0;
let histogram: usize = 0;
const radixBits: i32 = 8;
const radix: i32 = 256;

/** Bytes of memory for rows of so many numbers. */
export function sortedRowBytes(length: i32): i32 {
  return length * (4 + 2 * 8 + 2 * 8) + 4 * radix + 2 * 8 + 64;
}

/** Places the arrays in memory (aligned to eight bytes). Returns the first address behind them. */
export function placeSortedRow(memory: usize, length: i32): usize {
  count = length;
  keys = memory;
  otherKeys = keys + ((<usize>length) << 3);
  weights = otherKeys + ((<usize>length) << 3);
  sums = weights + ((<usize>length + 1) << 3);
  histogram = sums + ((<usize>length + 1) << 3);
  numbers = histogram + ((<usize>radix) << 2);
  return (numbers + ((<usize>length) << 2) + 7) & ~7;
}

/** Sorts a row whose numbers stand `pitch` bytes apart; importances are vectors of four equal lanes. */
export function sortRow(from: usize, pitch: usize, importance: usize): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    const bits = load<u32>(from + i * pitch);
    // Unsigned integers in the order of the floats.
    const rank = bits ^ (<u32>(<i32>bits >> 31) | 0x80000000);
    store<u64>(keys + (i << 3), ((<u64>rank) << 32) | i);
  }
  for (let shift: u64 = 32; shift < 64; shift += radixBits) distribute(shift);
  let weight: f64 = 0;
  let sum: f64 = 0;
  store<f64>(weights, 0);
  store<f64>(sums, 0);
  for (let i: usize = 0; i < <usize>count; i++) {
    const column = <usize>(load<u64>(keys + (i << 3)) & 0xffffffff);
    const x = load<f32>(from + column * pitch);
    const w = <f64>load<f32>(importance + (column << 4));
    weight += w;
    sum += w * <f64>x;
    store<f32>(numbers + (i << 2), x);
    store<f64>(weights + (i << 3), weight, 8);
    store<f64>(sums + (i << 3), sum, 8);
  }
}

/** One pass of radix sort. */
function distribute(shift: u64): void {
  memory.fill(histogram, 0, (<usize>radix) << 2);
  for (let i: usize = 0; i < <usize>count; i++) {
    const bin = histogram + digit(load<u64>(keys + (i << 3)), shift);
    store<u32>(bin, load<u32>(bin) + 1);
  }
  let before: u32 = 0;
  for (let bin = histogram; bin < histogram + ((<usize>radix) << 2); bin += 4) {
    const size = load<u32>(bin);
    store<u32>(bin, before);
    before += size;
  }
  for (let i: usize = 0; i < <usize>count; i++) {
    const key = load<u64>(keys + (i << 3));
    const bin = histogram + digit(key, shift);
    const to = load<u32>(bin);
    store<u32>(bin, to + 1);
    store<u64>(otherKeys + ((<usize>to) << 3), key);
  }
  const sorted = otherKeys;
  otherKeys = keys;
  keys = sorted;
}

function digit(key: u64, shift: u64): usize {
  return (<usize>((key >> shift) & (radix - 1))) << 2;
}

/** Σ importance of the numbers at positions [from, to). */
export function weightOf(from: i32, to: i32): f64 {
  return load<f64>(weights + ((<usize>to) << 3)) - load<f64>(weights + ((<usize>from) << 3));
}

/** Σ importance · x of the numbers at positions [from, to). */
export function sumOf(from: i32, to: i32): f64 {
  return load<f64>(sums + ((<usize>to) << 3)) - load<f64>(sums + ((<usize>from) << 3));
}

/** The first position whose number is above x. */
export function firstAbove(x: f64): i32 {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (<f64>load<f32>(numbers + ((<usize>middle) << 2)) > x) high = middle;
    else low = middle + 1;
  }
  return low;
}
