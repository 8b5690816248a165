// The inner loops of the solvers (src/solver). Panels are column-major over rows; a strip of sixteen rows, one
// cache line of every column, is solved at a time from a compact copy.

import { F32Array, I32Array, Optional, U8Array } from '../arrays';
import { GridLevels, hasCodes, nearestValue } from '../rounding/levels';
import { addDeltas, copyStrip, pushDeltas, stepColumns, stripBytes, stripVectors } from './strip';

@unmanaged
export class SweepBlock {
  /** Panel; `order` holds the columns that the block's positions stand for. */
  weight: F32Array;
  stride: i32;
  order: I32Array;
  /** Columns per scale. */
  groupSize: i32;
  scale: F32Array;
  offset: F32Array;
  levels: GridLevels;
  /** Lᵀ of the block, width × width: element (j, k) = L[k, j]. */
  upper: F32Array;
  width: i32;
  from: i32;
  to: i32;
  /** width × stride: Σ Δₖ·L[k, j] over all positions k after the ones to be rounded. */
  sums: F32Array;
  /** width × stride, written: w − ŵ. */
  delta: F32Array;
  /** cols × stride, as are `values`; float types have none. */
  codes: Optional<U8Array>;
  values: F32Array;
  /** 2 · width · stride floats (stride rounded up to 16). */
  scratch: U8Array;
}

/**
 * GPTQ inside one block of `width` positions: rounds positions [from, to) in descending order for rows
 * [start, end), with t = w + (Σ over later positions k of Δₖ·L[k, j]) / L[j, j], and leaves in `sums` what they
 * add to positions [0, from).
 */
export function sweepBlock(start: i32, end: i32, record: SweepBlock): void {
  const weight = record.weight;
  const stride = record.stride;
  const order = record.order;
  const groupSize = record.groupSize;
  const scale = record.scale;
  const offset = record.offset;
  const levels = record.levels;
  const upper = record.upper;
  const width = record.width;
  const from = record.from;
  const to = record.to;
  const sums = record.sums;
  const delta = record.delta;
  const codes = record.codes;
  const values = record.values;
  const scratch = record.scratch;
  const pitch = (<usize>stride) << 2;
  const own = scratch + ((<usize>start * width) << 3);
  const localDelta = own + <usize>width * stripBytes;
  const coded = hasCodes(levels);
  for (let row = start; row < end; row += 4 * stripVectors) {
    const vectors = min(stripVectors, (end - row) >> 2);
    const lane = (<usize>row) << 2;
    copyStrip(own, stripBytes, sums + lane, pitch, to, vectors);
    for (let high = to; high > from; ) {
      const low = max(from, high - stepColumns);
      for (let j = high - 1; j >= low; j--) {
        const diagonal = load<f32>(upper + ((<usize>j * (width + 1)) << 2));
        addDeltas(own, localDelta, upper, width, j, high);
        const column = load<i32>(order + ((<usize>j) << 2));
        const group = <usize>(column / groupSize) * pitch + lane;
        const target = <usize>column * pitch + lane;
        const inverse = f32x4.splat(1 / diagonal);
        for (let v = 0; v < vectors; v++) {
          const at = (<usize>v) << 4;
          const local = <usize>j * stripBytes + at;
          const w = v128.load(weight + target + at);
          const t = f32x4.add(w, f32x4.mul(v128.load(own + local), inverse));
          const parameters = group + at;
          const code = coded ? codes + ((target + at) >> 2) : 0;
          const value = nearestValue(levels, lane + at, t, scale + parameters, offset + parameters, code);
          v128.store(values + target + at, value);
          const difference = f32x4.sub(w, value);
          v128.store(localDelta + local, difference);
          v128.store(delta + <usize>j * pitch + lane + at, difference);
        }
      }
      pushDeltas(own, localDelta, upper, width, 0, low, high);
      high = low;
    }
    copyStrip(sums + lane, pitch, own, stripBytes, from, vectors);
  }
}
