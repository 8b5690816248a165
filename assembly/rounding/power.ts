// Levels of power grids (src/grid/tersor/power.ts): sign(i) · (|i| / half)^exponent for i = −half … half − 1.
import { F32Array } from '../arrays';

/**
 * Writes the levels of rows [start, end), 2 · half lines of `stride`, from the exponents of the rows, in eighths. All in
 * doubles, rounded once, so that fitting and decoding agree everywhere.
 */
export function powerLevels(
  start: i32,
  end: i32,
  exponents: F32Array,
  half: i32,
  stride: i32,
  codebook: F32Array,
): void {
  const pitch = (<usize>stride) << 2;
  for (let row = start; row < end; row++) {
    const lane = (<usize>row) << 2;
    const exponent = <f64>load<f32>(exponents + lane) / 8;
    for (let i = -half; i < half; i++) {
      const size = NativeMath.pow(Math.abs(<f64>i) / <f64>half, exponent);
      const level: f64 = i < 0 ? -size : size;
      store<f32>(codebook + <usize>(i + half) * pitch + lane, i == 0 ? 0 : <f32>level);
    }
  }
}
