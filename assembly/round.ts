import { hasCodes, nearestValue, setLane } from './levels';

/**
 * Rounds columns [0, cols) of a panel to the nearest values, rows [start, end).
 * @param groupSize columns per scale and offset, which are groups × stride
 * @param levels record of assembly/levels.ts
 * @param codes cols × stride bytes (unused by float types); `values` cols × stride floats
 */
export function roundColumns(
  start: i32,
  end: i32,
  weight: usize,
  stride: i32,
  cols: i32,
  groupSize: i32,
  scale: usize,
  offset: usize,
  levels: usize,
  codes: usize,
  values: usize,
): void {
  const pitch = (<usize>stride) << 2;
  const coded = hasCodes(levels);
  for (let column = 0; column < cols; column++) {
    const group = <usize>(column / groupSize) * pitch;
    for (let lane = (<usize>start) << 2; lane < (<usize>end) << 2; lane += 16) {
      const at = <usize>column * pitch + lane;
      const t = v128.load(weight + at);
      setLane(lane);
      const value = nearestValue(
        levels,
        coded,
        t,
        scale + group + lane,
        offset + group + lane,
        codes + (at >> 2),
      );
      v128.store(values + at, value);
    }
  }
}
