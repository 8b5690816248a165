import type { Gemm } from '../../src/runtime/gemm.js';
import type { Matrix } from '../../src/types.js';
import { normal, normals } from './random.js';

export interface GramShape {
  /** Directions with energy k^-decay; more than `size` makes the matrix well conditioned. */
  readonly rank: number;
  readonly decay: number;
  /** Share of channels that are ten to fifty times larger, as attention sinks and norms make them. */
  readonly outliers: number;
  /** Energy that every channel has on its own. */
  readonly floor: number;
}

/** What Gram matrices of transformer layers look like: a power-law spectrum and a few large channels. */
export const transformerLike: GramShape = { rank: 512, decay: 1, outliers: 0.005, floor: 1e-3 };

/** A synthetic second moment with the given spectrum. */
export async function syntheticGram(
  gemm: Gemm,
  size: number,
  seed: number,
  shape: Partial<GramShape> = {},
): Promise<Matrix> {
  const { rank, decay, outliers, floor } = { ...transformerLike, rank: Math.min(size, 512), ...shape };
  const directions = normals(size * rank, seed);
  const next = normal(seed + 1);
  const total = size * outliers;
  for (let channel = 0; channel < size; channel++) {
    const magnitude = channel < total ? 10 + 10 * Math.abs(next()) : Math.exp(0.3 * next());
    // Spread the large channels over the width.
    const row = (channel * 2654435761) % size;
    for (let k = 0; k < rank; k++) {
      const at = row * rank + k;
      directions[at] = (directions[at] ?? 0) * (k + 1) ** (-decay / 2) * magnitude;
    }
  }
  const matrix = { data: directions, shape: [size, rank] };
  const data = await gemm(matrix, matrix, { transposeB: true, alpha: 1 / rank });
  for (let i = 0; i < size; i++) data[i * size + i] = (data[i * size + i] ?? 0) * (1 + floor) + floor;
  return { rows: size, cols: size, data };
}
