import { descend } from './descent/descent.js';
import { type DescentOptions, descentDefaults } from './descent/plan.js';
import type { Solver } from './solver.js';

export type QuantEaseOptions = DescentOptions;

export const quantEaseDefaults: QuantEaseOptions = descentDefaults;

/**
 * QuantEase (Behdin et al., 2023, algorithm 1): cyclic coordinate descent on the codes, scales held. With
 * Δ = W − Ŵ, column j of all rows moves to the value nearest to ŵ_j + (Δ H)_j / H_jj, the exact minimiser of
 * tr(Δ H Δᵀ) with the other columns held; a row keeps its old value unless the new one lowers the loss. Needs no
 * inverse, and the loss never rises.
 */
export const quantEase: Solver<QuantEaseOptions> = (context, weight, moments, grid, options = {}) =>
  descend(context, weight, moments, grid, { ...quantEaseDefaults, ...options, refits: 0, trials: 0 });
