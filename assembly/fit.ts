import { bestOffset, bestScale, setGroup } from './fit-group';
import { search } from './fit-search';
import { searchPower, storeHalf } from './fit-store';
import { Levels } from './fit-sums';
import { storeZeroPoint } from './fit-zero';

/** Columns without importance count this much of the mean, so that they still get sensible values. */
const importanceFloor: f32 = 1e-6;

/**
 * Spreads importances to vectors of four equal lanes, block by block relative to the block's mean; a block
 * without any importance is treated as uniform.
 */
export function spreadImportance(importance: usize, cols: i32, blockSize: i32, into: usize): void {
  for (let block = 0; block < cols; block += blockSize) {
    const end = min(cols, block + blockSize);
    let total: f64 = 0;
    for (let col = block; col < end; col++) total += <f64>load<f32>(importance + ((<usize>col) << 2));
    const mean = total / <f64>(end - block);
    for (let col = block; col < end; col++) {
      const own = mean > 0 ? <f32>(<f64>load<f32>(importance + ((<usize>col) << 2)) / mean) : 1;
      v128.store(into + ((<usize>col) << 4), f32x4.splat(max(own, importanceFloor)));
    }
  }
}

/**
 * Fits one scale (and offset) per group for rows [start, end).
 * @param weight panel of `cols` columns
 * @param importance `cols` vectors made by spreadImportance
 * @param stored 0: scales and offsets are halves, 1: scales are powers of two, from 2 on: offsets are whole multiples of
 *   scales, the lowest zero point and 2
 * @param scale groups × stride; `offset` likewise
 * @param scratch 16 bytes per row and column of a group; twice as much if `local`: search in the codes, too
 */
export function fitDirect(
  start: i32,
  end: i32,
  weight: usize,
  stride: i32,
  cols: i32,
  importance: usize,
  levels: usize,
  groupSize: i32,
  stored: i32,
  scale: usize,
  offset: usize,
  scratch: usize,
  local: i32,
): void {
  const column = (<usize>stride) << 2;
  const copy = scratch + <usize>start * <usize>(local ? 2 * groupSize : groupSize);
  const room = local ? copy + ((<usize>groupSize) << 4) : 0;
  const group = changetype<Levels>(levels);
  for (let col = 0; col < cols; col += groupSize) {
    const n = min(groupSize, cols - col);
    const w = importance + ((<usize>col) << 4);
    for (let row = start; row < end; row += 4) {
      const lane = (<usize>row) << 2;
      const x = weight + <usize>col * column + lane;
      for (let j = 0; j < n; j++) v128.store(copy + ((<usize>j) << 4), v128.load(x + <usize>j * column));
      setGroup(group, copy, 16, w, n, room);
      if (stored == 1) searchPower();
      else {
        search(Infinity, true);
        if (stored >= 2) storeZeroPoint(<f32>(stored - 2));
        else storeHalf();
      }
      const at = <usize>(col / groupSize) * column + lane;
      v128.store(scale + at, bestScale);
      if (group.affine) v128.store(offset + at, bestOffset);
    }
  }
}
