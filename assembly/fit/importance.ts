import { F32Array } from '../arrays';

/** Columns without importance count this much of the mean, so that they still get sensible values. */
const importanceFloor: f32 = 1e-6;

/**
 * Spreads importances to vectors of four equal lanes, block by block relative to the block's mean; a block
 * without any importance is treated as uniform.
 */
export function spreadImportance(importance: F32Array, cols: i32, blockSize: i32, into: F32Array): void {
  for (let block = 0; block < cols; block += blockSize) {
    const end = min(cols, block + blockSize);
    let total: f64 = 0;
    for (let col = block; col < end; col++) total += <f64>load<f32>(importance + ((<usize>col) << 2));
    const mean = total / <f64>(end - block);
    for (let col = block; col < end; col++) {
      const own = mean > 0 ? <f32>(<f64>load<f32>(importance + ((<usize>col) << 2)) / mean) : 1;
      v128.store(into + ((<usize>col) << 4), f32x4.splat(max(own, importanceFloor)));
    }
  }
}
