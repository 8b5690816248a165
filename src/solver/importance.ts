import type { Arena } from '../kernels/kernels.js';
import type { Moments } from '../types.js';
import { meanDiagonal } from './cholesky.js';

/**
 * What a squared error of each column costs when nothing makes up for it: diag H in units of its mean, 1 without
 * moments. In the kernels' memory.
 */
export function importanceOf(arena: Arena, cols: number, moments: Moments | undefined): Float32Array {
  const importance = arena.f32(cols);
  if (!moments) return importance.fill(1);
  const { gram } = moments;
  const mean = meanDiagonal(gram);
  for (let i = 0; i < cols; i++) importance[i] = (gram.data[i * cols + i] ?? 0) / mean;
  return importance;
}
