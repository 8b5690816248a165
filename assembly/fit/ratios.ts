// Scales of tersor's own float and power grids: fitting them by trying, and what they are stored as.

import { F32Array, Optional } from '../arrays';
import { storableHalf } from '../numbers/storable';
import { GridLevels, levelOf, nearestCode } from '../rounding/levels';
import { reciprocal } from './sums';

@unmanaged
export class FitByRatios {
  weight: F32Array;
  stride: i32;
  cols: i32;
  /** Vectors made by spreadImportance. */
  importance: F32Array;
  groupSize: i32;
  /** The largest float; `step` its last bit in units of the first; `quantum` the smallest float above zero. */
  top: f32;
  step: f32;
  quantum: f32;
  /** `ratioCount` floats, tried in this order; among equals the first is kept. */
  ratios: F32Array;
  ratioCount: i32;
  /** The values a scale may be, in units of `unit`; without them halves. */
  values: Optional<GridLevels>;
  unit: f32;
  /** groups × stride, written. */
  scale: F32Array;
}

/**
 * Fits one scale per group of floats for rows [start, end): of the scales that make the group's largest weight so many
 * times `top` the one with the least Σ w (x − nearest value)². For levels so many, or stored scales so few, that a
 * finer search wins nothing.
 */
export function fitByRatios(start: i32, end: i32, record: FitByRatios): void {
  const weight = record.weight;
  const stride = record.stride;
  const cols = record.cols;
  const importance = record.importance;
  const groupSize = record.groupSize;
  const top = record.top;
  const step = record.step;
  const quantum = record.quantum;
  const ratios = record.ratios;
  const ratioCount = record.ratioCount;
  const stored = record.values;
  const unit = record.unit;
  const scales = record.scale;
  const pitch = (<usize>stride) << 2;
  for (let col = 0; col < cols; col += groupSize) {
    const w = importance + ((<usize>col) << 4);
    const line = scales + <usize>(col / groupSize) * pitch;
    for (let lane = (<usize>start) << 2; lane < (<usize>end) << 2; lane += 16) {
      const x = weight + <usize>col * pitch + lane;
      const fitting = f32x4.div(largest(x, pitch, groupSize), f32x4.splat(top));
      let best = f32x4.splat(0);
      let least = f32x4.splat(Infinity);
      for (let i: usize = 0; i < <usize>ratioCount; i++) {
        const scale = storable(f32x4.mul(fitting, v128.load32_splat(ratios + (i << 2))), stored, unit);
        const error = errorOf(x, pitch, w, groupSize, scale, top, step, quantum);
        const better = f32x4.lt(error, least);
        best = v128.bitselect(scale, best, better);
        least = v128.bitselect(error, least, better);
      }
      v128.store(line + lane, best);
    }
  }
}

function largest(x: usize, pitch: usize, count: i32): v128 {
  let result = f32x4.splat(0);
  for (let j: usize = 0; j < <usize>count; j++) {
    result = f32x4.pmax(result, f32x4.abs(v128.load(x + j * pitch)));
  }
  return result;
}

function storable(scale: v128, stored: GridLevels, unit: f32): v128 {
  if (!stored) return storableHalf(scale);
  const u = f32x4.splat(unit);
  return f32x4.mul(u, levelOf(stored, nearestCode(stored, f32x4.div(scale, u), 0), 0));
}

/** Added and taken away again it rounds floats to whole numbers. */
const roundingConstant: f32 = 12582912; // 1.5 · 2^23

function errorOf(
  x: usize,
  pitch: usize,
  w: usize,
  count: i32,
  scale: v128,
  top: f32,
  step: f32,
  quantum: f32,
): v128 {
  let error = f32x4.splat(0);
  const inverse = reciprocal(scale);
  for (let j: usize = 0; j < <usize>count; j++) {
    const v = f32x4.abs(v128.load(x + j * pitch));
    const u = f32x4.mul(v, inverse);
    const power = v128.and(u, i32x4.splat(0x7f800000));
    const distance = f32x4.pmax(f32x4.splat(quantum), f32x4.mul(power, f32x4.splat(step)));
    const constant = f32x4.mul(distance, f32x4.splat(roundingConstant));
    const level = f32x4.pmin(f32x4.splat(top), f32x4.sub(f32x4.add(u, constant), constant));
    const r = f32x4.sub(v, f32x4.mul(scale, level));
    error = f32x4.add(error, f32x4.mul(v128.load(w + (j << 4)), f32x4.mul(r, r)));
  }
  return error;
}

/** The largest magnitude of `count` floats, a multiple of four. */
export function largestMagnitude(x: F32Array, count: i32): f32 {
  const all = largest(x, 16, count >> 2);
  return max(
    max(f32x4.extract_lane(all, 0), f32x4.extract_lane(all, 1)),
    max(f32x4.extract_lane(all, 2), f32x4.extract_lane(all, 3)),
  );
}
