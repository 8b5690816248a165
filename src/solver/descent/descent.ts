import type { Encoded, Grid } from '../../grid/grid.js';
import type { Arena } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Moments } from '../../types.js';
import { gptq } from '../gptq.js';
import { rtn } from '../rtn.js';
import type { Solution, SolverContext } from '../solver.js';
import { add, anneal, remember } from './annealing.js';
import type { DescentPlan } from './plan.js';
import { prepareSweeps, type Sweeps } from './sweeps.js';

/**
 * Block coordinate descent on tr(Δ H Δᵀ), Δ = W − Ŵ. The gradient Δ H of a block of columns is one matrix product
 * with all of Δ; a kernel then goes over the block, keeping its part of the gradient exact. Nothing but Δ and the
 * codes is carried from block to block, so errors of single precision do not pile up. Annealed sweeps in between may
 * raise the loss; rows that end above the start get it back.
 * @throws TersorError for a second moment that is not finite
 */
export async function descend(
  context: SolverContext,
  weight: Panel,
  moments: Moments | undefined,
  grid: Grid,
  plan: DescentPlan,
): Promise<Solution> {
  const start = await (plan.start === 'rtn' ? rtn : gptq)(context, weight, moments, grid, {
    scales: plan.scales,
  });
  const { encoded } = start;
  if (!moments || !encoded.codes) return start;
  const { gram } = moments;
  await context.kernels.scope((arena) =>
    settle(context, arena, prepareSweeps(context, arena, weight, gram, encoded, plan), encoded, plan),
  );
  return start;
}

/**
 * Sweeps until they change little, with annealed ones behind the first. Rows that end above where they were get their
 * codes and scales back, so that the loss never rises.
 * @returns by how much the loss fell
 */
export async function settle(
  context: SolverContext,
  arena: Arena,
  sweeps: Sweeps,
  encoded: Encoded,
  plan: DescentPlan,
): Promise<number> {
  const annealed = plan.temperature > 0 && plan.annealingSweeps > 0;
  const restore = annealed ? remember(context, arena, encoded) : undefined;
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
