// What evaluations of trial scales share: the levels, and the sums that a least-squares step needs.
import { F32Array, Optional, U8Array } from '../arrays';

/** Consecutive integers min … max, or `count` ascending values (describeLevels in src/grid/fit/arguments.ts). */
@unmanaged
export class FitLevels {
  min: f32;
  max: f32;
  /** 0: consecutive integers. */
  count: i32;
  /** Does the value have an offset? */
  affine: bool;
  /** For a table: (count − 1) × (midpoint to the next level, step to it), each in all four lanes. */
  thresholds: Optional<F32Array>;
  /** What assembly/fit/table.ts needs for at most 16 values that are small integers. */
  bytes: Optional<U8Array>;
  /** How many of their thresholds are not integers, how many are; both filled up to multiples of three. */
  halves: i32;
  wholes: i32;
}

// Of the last evaluation, over the columns of the group, with r = x − value:
/** Σ w r² */
export let error: v128 = i32x4.splat(0);

/** Σ w l r and Σ w r: minus half the gradient with respect to scale and offset. */
export let gradientScale: v128 = i32x4.splat(0);
export let gradientOffset: v128 = i32x4.splat(0);

/** Σ w l² and Σ w l: half the second derivatives for fixed codes; that of the offset is Σ w. */
export let curvatureScale: v128 = i32x4.splat(0);
export let curvatureMixed: v128 = i32x4.splat(0);

export function setError(e: v128): void {
  error = e;
}

export function setScaleSums(e: v128, g: v128, a: v128): void {
  error = e;
  gradientScale = g;
  curvatureScale = a;
}

export function setOffsetSums(g: v128, mixed: v128): void {
  gradientOffset = g;
  curvatureMixed = mixed;
}

/** Σ w of n vectors: half the second derivative with respect to the offset, the same for all codes. */
export function sumVectors(w: usize, n: i32): v128 {
  let total = f32x4.splat(0);
  for (let j = 0; j < n; j++) total = f32x4.add(total, v128.load(w + ((<usize>j) << 4)));
  return total;
}

/** 1/s, large but finite where s is zero or subnormal (the sign does not matter where all values are equal). */
export function reciprocal(s: v128): v128 {
  const bound = f32x4.splat(f32.MAX_VALUE);
  return f32x4.pmax(f32x4.neg(bound), f32x4.pmin(bound, f32x4.div(f32x4.splat(1), s)));
}

export function roundUniform(u: v128, low: v128, high: v128): v128 {
  return f32x4.pmin(high, f32x4.pmax(low, f32x4.nearest(u)));
}

/** a / b, and 0 where b is not positive. */
export function ratio(a: v128, b: v128): v128 {
  return v128.and(f32x4.div(a, b), f32x4.gt(b, f32x4.splat(0)));
}
