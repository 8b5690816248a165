import type { Arena } from '../kernels/kernels.js';
import type { Matrix, Moments } from '../types.js';
import { type Factor, meanDiagonal } from './cholesky.js';

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

/**
 * What a squared error of each column costs in error feedback: L_jj² when all columns still to come make up for
 * it, diag H when none does. The geometric mean of both gave the smallest losses on layers of language models, by
 * about 2 % against diag H.
 */
export function pivotImportance(arena: Arena, gram: Matrix, order: Int32Array, factor: Factor): Float32Array {
  const importance = arena.f32(gram.rows);
  for (const [b, block] of factor.columns.entries()) {
    const first = b * factor.blockSize;
    const width = Math.min(factor.blockSize, factor.size - first);
    for (let i = 0; i < width; i++) {
      const column = order[first + i] ?? 0;
      const energy = Math.max(0, gram.data[column * (gram.rows + 1)] ?? 0) / factor.scale;
      importance[column] = Math.sqrt(energy) * (block[i * (width + 1)] ?? 0);
    }
  }
  return importance;
}
