import { descend } from './descent/descent.js';
import { type DescentOptions, descentDefaults } from './descent/plan.js';
import type { Solver } from './solver.js';

export interface DecoupleQOptions extends DescentOptions {
  /** Passes over a block in which scales and offsets are chosen, too. */
  readonly refits: number;
  /** Storable neighbours of the best scale and offset that a refit tries. */
  readonly trials: number;
}

export const decoupleQDefaults: DecoupleQOptions = { ...descentDefaults, refits: 1, trials: 6 };

/**
 * decoupleQ (Guo et al., 2024): alternates between codes, by coordinate descent, and scales and offsets, by least
 * squares under the full H. For a group g of a row with levels z, ones e and G = Δ H, the change δ of (scale,
 * offset) with the least loss solves
 *
 *   [zᵀ H_gg z  zᵀ H_gg e; zᵀ H_gg e  eᵀ H_gg e] δ = [zᵀ G_g; eᵀ G_g].
 *
 * It is rounded to what the format stores, codes follow, and it is kept where the loss falls, so that every
 * intermediate result can be stored and the loss never rises. K-quants: integers per group so, then the halves of
 * the super-block from the same system over its 256 columns. Beside the paper, neighbours of the rounded optimum
 * are tried, too, which leaves minima of the alternation.
 */
export const decoupleQ: Solver<DecoupleQOptions> = (context, weight, moments, grid, options = {}) =>
  descend(context, weight, moments, grid, { ...decoupleQDefaults, ...options });
