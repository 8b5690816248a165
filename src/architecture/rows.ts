import type { TensorSpec } from './architecture.js';

/**
 * Reorders the rows of each attention head between Hugging Face's rotary order (first halves, then second
 * halves) and llama.cpp's (pairs side by side). Rows move whole, so packed bytes can be permuted like floats.
 * @param data rows of equal length, as many as `spec.shape[0]`
 */
export function permuteRows<T extends Float32Array | Uint8Array>(
  data: T,
  spec: Pick<TensorSpec, 'shape' | 'interleavedHead'>,
  direction: 'to-halves' | 'to-pairs',
): T {
  const [rows = 0] = spec.shape;
  const head = spec.interleavedHead ?? rows;
  const length = data.length / rows;
  const result = data.slice() as T;
  for (let row = 0; row < rows; row++) {
    const within = row % head;
    // Row `within` of the halves order stands in pair `within mod head/2`.
    const pair = row - within + 2 * (within % (head / 2)) + Math.floor(within / (head / 2));
    const [from, to] = direction === 'to-pairs' ? [row, pair] : [pair, row];
    result.set(data.subarray(from * length, (from + 1) * length), to * length);
  }
  return result;
}
