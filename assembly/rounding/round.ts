import { F32Array, Optional, U8Array } from '../arrays';
import { GridLevels, hasCodes, nearestValue } from './levels';

@unmanaged
export class RoundColumns {
  weight: F32Array;
  stride: i32;
  cols: i32;
  /** Columns per scale and offset, which are groups × stride. */
  groupSize: i32;
  scale: F32Array;
  offset: F32Array;
  levels: GridLevels;
  /** cols × stride, as are `values`; float types have none. */
  codes: Optional<U8Array>;
  values: F32Array;
}

/** Rounds columns [0, cols) of a panel to the nearest values, rows [start, end). */
export function roundColumns(start: i32, end: i32, record: RoundColumns): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const groupSize = record.groupSize;
  const scale = record.scale;
  const offset = record.offset;
  const levels = record.levels;
  const codes = record.codes;
  const values = record.values;
  const pitch = (<usize>stride) << 2;
  const coded = hasCodes(levels);
  for (let column = 0; column < cols; column++) {
    const group = <usize>(column / groupSize) * pitch;
    for (let lane = (<usize>start) << 2; lane < (<usize>end) << 2; lane += 16) {
      const at = <usize>column * pitch + lane;
      const t = v128.load(weight + at);
      const value = nearestValue(
        levels,
        lane,
        t,
        scale + group + lane,
        offset + group + lane,
        coded ? codes + (at >> 2) : 0,
      );
      v128.store(values + at, value);
    }
  }
}
