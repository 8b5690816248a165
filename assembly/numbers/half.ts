// Half precision in four lanes. IEEE 754: rounding to nearest even, subnormals kept.

/** Bits of the nearest halves of four floats, as i32 lanes. From 65520 on infinity; NaN becomes 0x7e00. */
export function toHalf(value: v128): v128 {
  const magnitude = v128.and(value, i32x4.splat(0x7fffffff));
  const sign = v128.and(i32x4.shr_u(value, 16), i32x4.splat(0x8000));
  // Normal: rebias the exponent by 127 − 15 and add half of the dropped bits, to even.
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const bias = i32x4.splat(0xfff - (112 << 23));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, bias), odd), 13);
  // Subnormal: the last place of a number near 0.5 is 2^-24, the unit of subnormal halves.
  const half = f32x4.splat(0.5);
  const subnormal = i32x4.sub(f32x4.add(magnitude, half), half);
  const small = i32x4.lt_s(magnitude, i32x4.splat(113 << 23));
  const large = i32x4.ge_s(magnitude, i32x4.splat(0x477ff000));
  const nan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000));
  const special = v128.or(i32x4.splat(0x7c00), v128.and(nan, i32x4.splat(0x200)));
  const finite = v128.bitselect(subnormal, normal, small);
  return v128.or(sign, v128.bitselect(special, finite, large));
}

/** Floats of four halves given as i32 lanes; exact. */
export function fromHalf(half: v128): v128 {
  const magnitude = i32x4.shl(v128.and(half, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(half, i32x4.splat(0x8000)), 16);
  // Multiplying by 2^112 rebases the exponent and normalises subnormals, both exactly.
  const scaled = f32x4.mul(magnitude, f32x4.splat(reinterpret<f32>((127 + 112) << 23)));
  const special = v128.and(i32x4.ge_s(magnitude, i32x4.splat(0x7c00 << 13)), i32x4.splat(0x7f800000));
  return v128.or(v128.or(scaled, special), sign);
}

/** The nearest halves, as floats. */
export function roundHalf(value: v128): v128 {
  return fromHalf(toHalf(value));
}

/** Bits of the nearest bfloat16s of four floats, as i32 lanes; NaN stays a quiet NaN. */
export function toBrain(value: v128): v128 {
  const upper = i32x4.shr_u(value, 16);
  const odd = v128.and(upper, i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(value, i32x4.splat(0x7fff)), odd), 16);
  const nan = i32x4.gt_s(v128.and(value, i32x4.splat(0x7fffffff)), i32x4.splat(0x7f800000));
  return v128.bitselect(v128.or(upper, i32x4.splat(0x40)), rounded, nan);
}

/** Floats of four bfloat16s given as i32 lanes; exact. */
export function fromBrain(brain: v128): v128 {
  return i32x4.shl(brain, 16);
}

/** The nearest bfloat16s, as floats. */
export function roundBrain(value: v128): v128 {
  return fromBrain(toBrain(value));
}
