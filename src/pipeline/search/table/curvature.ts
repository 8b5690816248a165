import type { TensorSpec } from '../../../architecture/architecture.js';
import type { Model } from '../../../architecture/model.js';
import { createArithmetic } from '../../../graph/arithmetic.js';
import type { CurvatureNeed } from '../../../sensitivity/measure.js';
import { codeVersion } from '../../../version.js';
import type { Context } from '../../context/context.js';
import type { Hooks } from '../../context/hooks.js';
import { keyOf, type Store } from '../../context/store.js';
import { type CurvatureEstimates, type Task, type Texts, textFor } from './curvature-task.js';
import { gradientForms } from './gradient-forms.js';
import { findEigenvalues, findTraces } from './hessian-facts.js';
import type { TensorLevels } from './request.js';

/** Tokens that gradients are taken of: the longest text of all. */
const gradientTokens = 4096;

/**
 * Adds what measures of sensitivity need of gradients and second derivatives. Every need is one entry of the store, and every
 * eigenvalue, which takes long, one more.
 * @param calibration text, of which a part is taken
 */
export async function addCurvature(
  context: Context,
  store: Store,
  { model, calibration }: { readonly model: Model; readonly calibration: readonly Int32Array[] },
  tensors: readonly TensorLevels[],
  needs: readonly CurvatureNeed[],
  hooks: Hooks,
): Promise<TensorLevels[]> {
  if (needs.length === 0) return [...tensors];
  const arithmetic = createArithmetic(context);
  const chosen = tensors.filter(({ levels }) => levels.length > 1);
  const task = {
    context,
    store,
    model,
    tensors: new Map(chosen.map((tensor) => [tensor.spec, tensor])),
    arithmetic,
    hooks,
  };
  const texts = textFor(model, calibration);
  const found = new Map<TensorSpec, CurvatureEstimates>();
  try {
    for (const need of needs) {
      const keys = chosen.flatMap(({ levels }) => levels.map(({ key }) => key));
      const key = keyOf('curvature', need, codeVersion(), ...keys, ...texts(gradientTokens).map(String));
      const known = await store.get(key);
      const results: readonly (CurvatureEstimates | undefined)[] = known
        ? JSON.parse(new TextDecoder().decode(known))
        : await context.stopwatch
            .time('measure', () => findings[need]({ ...task, key }, texts))
            .then((map) => chosen.map(({ spec }) => map.get(spec)));
      if (!known) await store.put(key, new TextEncoder().encode(JSON.stringify(results)));
      for (const [index, { spec }] of chosen.entries())
        found.set(spec, merge(found.get(spec), results[index]));
    }
  } finally {
    await arithmetic.release();
  }
  return tensors.map((tensor) => withCurvature(tensor, found.get(tensor.spec)));
}

/** What each need takes. */
const findings: Readonly<
  Record<CurvatureNeed, (task: Task, texts: Texts) => Promise<Map<TensorSpec, CurvatureEstimates>>>
> = {
  gradients: (task, texts) =>
    gradientForms(task, texts(gradientTokens), 'text', (slope, diagonal, form) => ({
      slope,
      fisher: diagonal,
      fisherForm: form,
    })),
  'drawn gradients': (task, texts) =>
    gradientForms(task, texts(gradientTokens), 'drawn', (_, diagonal, form, slopes) => ({
      drawnFisher: diagonal,
      drawnFisherForm: form,
      drawnSlopes: slopes,
    })),
  traces: findTraces,
  eigenvalues: findEigenvalues,
};

function merge(first: CurvatureEstimates = {}, second: CurvatureEstimates = {}): CurvatureEstimates {
  const levels = first.levels ?? second.levels;
  return {
    tensor: { ...first.tensor, ...second.tensor },
    ...(levels
      ? { levels: levels.map((_, index) => ({ ...first.levels?.[index], ...second.levels?.[index] })) }
      : {}),
  };
}

function withCurvature(
  tensor: TensorLevels,
  { tensor: own = {}, levels = [] }: CurvatureEstimates = {},
): TensorLevels {
  const { statistics } = tensor;
  return {
    ...tensor,
    levels: tensor.levels.map((level, index) => {
      const curvature = levels[index];
      return curvature ? { ...level, curvature } : level;
    }),
    ...(statistics ? { statistics: { ...statistics, curvature: own } } : {}),
  };
}
