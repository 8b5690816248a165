import type { Encoded, Grid, Panel } from '../../grid/grid.js';
import type { Arena } from '../../kernels/kernels.js';
import type { Moments } from '../../types.js';
import { gptq } from '../gptq.js';
import { layerEnergy, ratio } from '../layer-error.js';
import { rtn } from '../rtn.js';
import type { Solution, Workbench } from '../solver.js';
import { add, anneal, remember } from './annealing.js';
import { prepareSweeps, type Sweeps } from './sweeps.js';

/** Options of every solver that descends column by column. */
export interface DescentOptions {
  /** The solver whose result is the start. */
  readonly start: 'gptq' | 'rtn';
  /** Its scales: those that minimise the error, or from the smallest and largest weight of each group, as published. */
  readonly scales: 'fitted' | 'range';
  /** At most so many sweeps over all columns. */
  readonly sweeps: number;
  /** The descent ends when a sweep lowers the loss by less than this share. */
  readonly tolerance: number;
  /** Which column moves next: all in turn, or in every row the one that lowers the loss most. */
  readonly rule: 'cyclic' | 'greedy';
  /** Passes over a block of columns before the next block. */
  readonly passes: number;
  /** Added to the diagonal of H, in units of its mean. */
  readonly damping: number;
  /** How often every column is part of a window, a random set of columns that is solved anew in each sweep. */
  readonly windows: number;
  readonly windowSize: number;
  /** How far weights move against the loss in annealed sweeps, in units of the row's loss per column; 0: none. */
  readonly temperature: number;
  /** Annealed sweeps, behind the first of the others; they get ten times cooler. */
  readonly anneals: number;
  /** Noisy passes over a block in each of them. */
  readonly shakes: number;
  /** Columns per matrix product, at most those that settle together; changes speed and memory, not the result. */
  readonly blockSize: number;
}

export const descentDefaults: DescentOptions = {
  start: 'gptq',
  scales: 'fitted',
  sweeps: 8,
  tolerance: 1e-3,
  rule: 'cyclic',
  passes: 3,
  damping: 0.05,
  windows: 8,
  windowSize: 64,
  temperature: 1,
  anneals: 8,
  shakes: 8,
  blockSize: 256,
};

/** Options of a descent with what its kind of descent adds. */
export interface Plan extends DescentOptions {
  readonly refits: number;
  readonly trials: number;
}

/**
 * Block coordinate descent on tr(Δ H Δᵀ), Δ = W − Ŵ. The gradient Δ H of a block of columns is one matrix product
 * with all of Δ; a kernel then goes over the block, keeping its part of the gradient exact. Nothing but Δ and the
 * codes is carried from block to block, so errors of single precision do not pile up. Annealed sweeps in between may
 * raise the loss; rows that end above the start get it back.
 * @throws TersorError for a second moment that is not finite
 */
export async function descend(
  bench: Workbench,
  weight: Panel,
  moments: Moments | undefined,
  grid: Grid,
  plan: Plan,
): Promise<Solution> {
  const start = await (plan.start === 'rtn' ? rtn : gptq)(bench, weight, moments, grid, {
    scales: plan.scales,
  });
  const { encoded } = start;
  if (!moments || !encoded.codes) return start;
  const { gram } = moments;
  const energy = await layerEnergy(bench, gram, weight);
  const relativeError = await bench.kernels.scope(async (arena) => {
    await settle(bench, arena, prepareSweeps(bench, arena, weight, gram, encoded, plan), encoded, plan);
    const { cols, stride } = weight;
    const difference = { ...weight, data: arena.f32(cols * stride) };
    const args = [weight.data, encoded.values, difference.data];
    bench.kernels.parallel('subtractPanels', stride, cols, stride, ...args);
    return ratio(await layerEnergy(bench, gram, difference), energy);
  });
  return { ...start, relativeError };
}

/**
 * Sweeps until they change little, with annealed ones behind the first. Rows that end above where they were get their
 * codes and scales back, so that the loss never rises.
 * @returns by how much the loss fell
 */
export async function settle(
  bench: Workbench,
  arena: Arena,
  sweeps: Sweeps,
  encoded: Encoded,
  plan: Plan,
): Promise<number> {
  const annealed = plan.temperature > 0 && plan.anneals > 0;
  const restore = annealed ? remember(bench, arena, encoded) : undefined;
  const gained = new Float64Array(encoded.rows);
  for (let i = 0; i < plan.sweeps; i++) {
    const progress = await sweeps.sweep();
    add(gained, progress.gains);
    if (i === 0 && annealed) await anneal(arena, sweeps, encoded, plan, progress, gained);
    else if (progress.gain < plan.tolerance * progress.loss) break;
  }
  if (restore?.(gained)) await sweeps.refresh();
  return sweeps.unit * gained.reduce((sum, gain) => sum + Math.max(0, gain), 0);
}
