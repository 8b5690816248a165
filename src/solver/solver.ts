import type { Encoded, Grid } from '../grid/grid.js';
import type { Arena, Kernels } from '../kernels/kernels.js';
import type { Panel } from '../kernels/panel.js';
import type { Gemm } from '../runtime/gemm.js';
import type { Moments } from '../types.js';

/** What solvers compute with. Arrays of a result live in the arena that the caller opened. */
export interface SolverContext {
  readonly kernels: Kernels;
  readonly arena: Arena;
  readonly gemm: Gemm;
}

/** How good it is, src/solver/layer-error.ts tells. */
export interface Solution {
  readonly encoded: Encoded;
  /** Bytes of the stored tensor. */
  readonly bytes: number;
}

/**
 * Finds codes and parameters of small layer loss tr(Δ H Δᵀ). `weight` is not changed. Without moments, as for an
 * embedding, every input counts alike: H = I.
 */
export type Solver<O> = (
  context: SolverContext,
  weight: Panel,
  moments: Moments | undefined,
  grid: Grid,
  options?: Partial<O>,
) => Promise<Solution>;
