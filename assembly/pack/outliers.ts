// Outliers as a list of positions and numbers (src/grid/tersor/outliers.ts).
import { F32Array, U8Array } from '../arrays';

/** How many numbers of a panel are not zero. */
export function countOutliers(panel: F32Array, rows: i32, stride: i32, cols: i32): i32 {
  let count = 0;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let at = (col * stride) << 2; at < (col * stride + rows) << 2; at += 4) {
      if (load<f32>(panel + at) != 0) count++;
    }
  }
  return count;
}

@unmanaged
export class ListOutliers {
  panel: F32Array;
  rows: i32;
  stride: i32;
  cols: i32;
  lowBits: i32;
  low: U8Array;
  high: U8Array;
  numbers: F32Array;
}

/**
 * Lists the numbers of a panel that are not zero by column and row; positions p = column · rows + row in the coding
 * of Elias (1974) and Fano (1971): the `lowBits` lowest bits of each, and for the rest a bit p >> lowBits places plus
 * its number from the start of `high`. Both are zero before, `low` with eight bytes to spare.
 * @returns how many there are
 */
export function listOutliers(record: ListOutliers): i32 {
  const panel = record.panel;
  const rows = record.rows;
  const stride = record.stride;
  const cols = record.cols;
  const lowBits = record.lowBits;
  const low = record.low;
  const high = record.high;
  const numbers = record.numbers;
  let count: usize = 0;
  for (let col: usize = 0; col < <usize>cols; col++) {
    for (let row: usize = 0; row < <usize>rows; row++) {
      const value = load<f32>(panel + ((col * stride + row) << 2));
      if (value == 0) continue;
      const position = col * rows + row;
      const bit = count * lowBits;
      const word = low + (bit >> 3);
      const rest = <u64>(position & ((1 << lowBits) - 1));
      store<u64>(word, load<u64>(word) | (rest << (bit & 7)));
      const place = (position >> lowBits) + count;
      store<u8>(high + (place >> 3), load<u8>(high + (place >> 3)) | (1 << (<u8>(place & 7))));
      store<f32>(numbers + (count << 2), value);
      count++;
    }
  }
  return <i32>count;
}

@unmanaged
export class PlaceOutliers {
  panel: F32Array;
  rows: i32;
  stride: i32;
  cols: i32;
  lowBits: i32;
  low: U8Array;
  high: U8Array;
  /** Length of `high`. */
  highBytes: i32;
  numbers: F32Array;
  count: i32;
}

/**
 * The inverse of `listOutliers`, into a zeroed panel.
 * @returns false unless there are `count` positions, ascending and inside the panel
 */
export function placeOutliers(record: PlaceOutliers): bool {
  const panel = record.panel;
  const rows = record.rows;
  const stride = record.stride;
  const cols = record.cols;
  const lowBits = record.lowBits;
  const low = record.low;
  const high = record.high;
  const highBytes = record.highBytes;
  const numbers = record.numbers;
  const count = record.count;
  let place: usize = 0;
  let next: usize = 0;
  const end = (<usize>highBytes) << 3;
  for (let i: usize = 0; i < <usize>count; i++) {
    while (place < end && !((load<u8>(high + (place >> 3)) >> <u8>(place & 7)) & 1)) place++;
    if (place == end) return false;
    const bit = i * lowBits;
    const rest = <usize>((load<u64>(low + (bit >> 3)) >> (bit & 7)) & ((1 << lowBits) - 1));
    const position = ((place - i) << lowBits) | rest;
    if (position < next || position >= <usize>rows * <usize>cols) return false;
    const at = (position / rows) * stride + (position % rows);
    store<f32>(panel + (at << 2), load<f32>(numbers + (i << 2)));
    next = position + 1;
    place++;
  }
  return true;
}
