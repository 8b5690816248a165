import { blockTensors, type TensorSpec } from '../../../architecture/architecture.js';
import { walkModel } from '../../../calibration/walk-model.js';
import { isCoded } from '../../../grid/grid.js';
import { required } from '../../../required.js';
import type { Moments } from '../../../types.js';
import type { Context } from '../../context/context.js';
import type { Hooks } from '../../context/hooks.js';
import type { Store } from '../../context/store.js';
import { tokenEmbeddingMoments } from '../../solve/embedding-and-head.js';
import { createPasses, shrinkageOf } from '../../solve/passes.js';
import type { Solved } from './entries.js';
import { createLevelSteps, type LevelSteps } from './level-steps.js';
import type { LevelRequest, TensorLevels } from './request.js';

/**
 * Solves every tensor at every level, one block at a time, and measures what some of the levels do to the model. The
 * store gives what it has; so an interrupted run goes on where it was.
 */
export async function solveLevels(
  context: Context,
  store: Store,
  request: LevelRequest,
  hooks: Hooks,
): Promise<TensorLevels[]> {
  const { model, candidates, calibration, evaluator, recipe } = request;
  const shrinkage = shrinkageOf(recipe);
  const { architecture } = model;
  const { time } = context.stopwatch;
  const steps = await createLevelSteps(context, store, request, hooks);
  const passes = createPasses(context, architecture, { shrinkage });
  const outside = await time('read', () => model.readBlock(undefined));
  const coded = new Set(candidates.filter(({ grids }) => grids.some(isCoded)).map(({ spec }) => spec));

  /** @param momentsOf asked for embedding and head only */
  const solveOutside = async (spec: TensorSpec, momentsOf: () => Promise<Moments>) => {
    const weight = outside[spec.role];
    if (!weight) return;
    const wantsMoments = (spec.kind === 'embedding' || spec.kind === 'head') && coded.has(spec);
    const solved = await steps.solve(spec, weight, wantsMoments ? await momentsOf() : undefined);
    const divergences = await steps.divergences([[spec, solved]], async (probes) => {
      const means: number[] = [];
      for (const probe of probes) means.push(await evaluator.outside(probe));
      return means;
    });
    steps.record(spec, solved, divergences, await steps.describe(solved, spec, weight));
  };
  const outer = blockTensors(architecture, undefined);
  try {
    await walkModel(architecture, passes.calibrator, {
      async embedding() {
        for (const spec of outer.filter(({ kind }) => kind !== 'head'))
          await solveOutside(spec, () =>
            tokenEmbeddingMoments(context, model, calibration, outside, shrinkage),
          );
        return { hidden: await passes.embed(calibration, outside) };
      },
      async block(block, { hidden }) {
        const weights = await time('read', () => model.readBlock(block));
        const seen = await time('calibrate', async () => steps.statistician?.block(block, hidden, weights));
        const solved = new Map<TensorSpec, Solved[]>();
        const descriptions = new Map<TensorSpec, Awaited<ReturnType<LevelSteps['describe']>>>();
        return {
          weights,
          async site(layers, moments) {
            for (const spec of layers) {
              const weight = required(weights, spec.role);
              const results = await steps.solve(spec, weight, moments);
              solved.set(spec, results);
              descriptions.set(spec, await steps.describe(results, spec, weight, moments, seen));
            }
          },
          async rest(specs) {
            for (const spec of specs) solved.set(spec, await steps.solve(spec, required(weights, spec.role)));
            const divergences = await steps.divergences(solved, (probes) =>
              evaluator.block(block, weights, probes),
            );
            for (const [spec, results] of solved)
              steps.record(spec, results, divergences, descriptions.get(spec));
          },
        };
      },
      async head(moments) {
        for (const spec of outer.filter(({ kind }) => kind === 'head'))
          await solveOutside(spec, () => moments(outside));
      },
    });
  } finally {
    await Promise.all([passes.release(), steps.statistician?.release()]);
  }
  return steps.table();
}
