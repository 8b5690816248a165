// The sums that one scale for a whole tensor is fitted from (src/grid/fit/tensor.ts).

import { F32Array } from '../arrays';
import { halfStep, storableHalf } from '../numbers/storable';
import { evaluate } from './evaluate';
import * as at from './sums';
import { FitLevels, sumVectors } from './sums';

@unmanaged
export class TensorSums {
  weight: F32Array;
  stride: i32;
  cols: i32;
  /** Vectors made by spreadImportance. */
  importance: F32Array;
  levels: FitLevels;
  scale: f32;
  offset: f32;
  sums: F32Array;
}

/**
 * Per row, over all columns: into sums[i · stride + row] the error, both gradients and the three curvatures of
 * assembly/fit/evaluate.ts for one scale and offset (i = 0 … 5), the smallest and the largest weight (6, 7).
 */
export function tensorSums(start: i32, end: i32, record: TensorSums): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const importance = record.importance;
  const levels = record.levels;
  const scale = record.scale;
  const offset = record.offset;
  const sums = record.sums;
  const column = (<usize>stride) << 2;
  const group = levels;
  const total = sumVectors(importance, cols);
  for (let row = start; row < end; row += 4) {
    const lane = (<usize>row) << 2;
    evaluate(group, weight + lane, column, importance, cols, f32x4.splat(scale), f32x4.splat(offset));
    let low = v128.load(weight + lane);
    let high = low;
    for (let col = 1; col < cols; col++) {
      const v = v128.load(weight + lane + <usize>col * column);
      low = f32x4.pmin(low, v);
      high = f32x4.pmax(high, v);
    }
    const into = sums + lane;
    v128.store(into, at.error);
    v128.store(into + column, at.gradientScale);
    v128.store(into + 2 * column, at.gradientOffset);
    v128.store(into + 3 * column, at.curvatureScale);
    v128.store(into + 4 * column, at.curvatureMixed);
    v128.store(into + 5 * column, total);
    v128.store(into + 6 * column, low);
    v128.store(into + 7 * column, high);
  }
}

/** The half next to x: above it or at it if `side` is 1, below if −1; the nearest if 0. */
export function halfBeside(x: f32, side: f32): f32 {
  const vector = f32x4.splat(x);
  return f32x4.extract_lane(
    storableHalf(f32x4.add(vector, f32x4.mul(f32x4.splat(side), halfStep(vector)))),
    0,
  );
}
