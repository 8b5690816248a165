import { F32Array, U8Array } from '../arrays';
import { bestOffset, bestScale, setGroup } from './group';
import { search } from './search';
import { searchPower, storeHalf } from './store';
import { FitLevels } from './sums';
import { storeZeroPoint } from './zero';

@unmanaged
export class FitDirect {
  /** Panel of `cols` columns. */
  weight: F32Array;
  stride: i32;
  cols: i32;
  /** `cols` vectors made by spreadImportance. */
  importance: F32Array;
  levels: FitLevels;
  groupSize: i32;
  /**
   * 0: scales and offsets are halves, 1: scales are powers of two, from 2 on: offsets are whole multiples of
   * scales, the lowest zero point and 2
   */
  stored: i32;
  /** groups × stride; `offset` likewise. */
  scale: F32Array;
  offset: F32Array;
  /** 16 bytes per row and column of a group; twice as much if `local`, a search in the codes, is wanted. */
  scratch: U8Array;
  local: bool;
}

/** Fits one scale (and offset) per group for rows [start, end). */
export function fitDirect(start: i32, end: i32, record: FitDirect): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const importance = record.importance;
  const levels = record.levels;
  const groupSize = record.groupSize;
  const stored = record.stored;
  const scale = record.scale;
  const offset = record.offset;
  const scratch = record.scratch;
  const local = record.local;
  const column = (<usize>stride) << 2;
  const copy = scratch + <usize>start * <usize>(local ? 2 * groupSize : groupSize);
  const room = local ? copy + ((<usize>groupSize) << 4) : 0;
  const group = levels;
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
