// Rounding of four floats at once to what formats store scales and offsets in. Neither NaN nor Inf comes out.
import { roundHalf } from './half';

const halfMaximum: f32 = 65504;
const halfQuantum: f32 = 0.000000059604644775390625; // 2^-24, the distance of subnormal halves
const halfPrecision: f32 = 0.0009765625; // 2^-10, the relative distance at a power of two
const powerMaximum: f32 = 8.507059173023462e37; // 2^126
const powerMinimumBits: i32 = 0x00200000; // 2^-128, a subnormal float

/** The nearest halves, as floats; ties to even, saturating at ±65504. Zero has no sign. */
export function storableHalf(x: v128): v128 {
  const bound = f32x4.splat(halfMaximum);
  const half = roundHalf(f32x4.pmax(f32x4.neg(bound), f32x4.pmin(bound, x)));
  return f32x4.add(half, f32x4.splat(0));
}

/** Half the distance of the halves around x: `storableHalf(x ± halfStep(x))` are the neighbours of x. */
export function halfStep(x: v128): v128 {
  const power = v128.and(x, i32x4.splat(0x7f800000));
  const distance = f32x4.pmax(f32x4.splat(halfQuantum), f32x4.mul(power, f32x4.splat(halfPrecision)));
  return f32x4.mul(f32x4.splat(0.5), distance);
}

/** The largest powers of two ≤ |x|, within 2^-128 … 2^126, the range of MXFP4's e8m0 scales. */
export function storablePower(x: v128): v128 {
  const power = f32x4.pmin(f32x4.splat(powerMaximum), v128.and(x, i32x4.splat(0x7f800000)));
  return f32x4.pmax(i32x4.splat(powerMinimumBits), power);
}
