import { descend } from './descent/descent.js';
import { type DescentOptions, descentDefaults } from './descent/plan.js';
import type { Solver } from './solver.js';

export type GreedyOptions = Omit<DescentOptions, 'rule'>;

export const greedyDefaults: GreedyOptions = descentDefaults;

/**
 * Block coordinate descent by greedy rules (Nutini, Laradji, Schmidt, 2022): in every row the column moves that
 * lowers the loss most (Gauss–Southwell, by the true decrease), and random sets of columns are solved anew
 * together. Needs fewer moves than going round, though each must look at all columns of the block.
 */
export const greedy: Solver<GreedyOptions> = (context, weight, moments, grid, options = {}) =>
  descend(context, weight, moments, grid, {
    ...greedyDefaults,
    ...options,
    rule: 'greedy',
    refits: 0,
    trials: 0,
  });
