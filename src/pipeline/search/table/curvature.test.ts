import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { randomModel, smallBert } from '../../../../test/fixtures/random-model.js';
import { uniform } from '../../../../test/reference/random.js';
import { emptyCheckpoint } from '../../../../test/tiny-model.js';
import { llama } from '../../../architecture/llama.js';
import type { Model } from '../../../architecture/model.js';
import { createDivergenceEvaluator } from '../../../evaluation/divergence-evaluator.js';
import { findGrid } from '../../../grid/index.js';
import { sensitivityMeasures } from '../../../sensitivity/index.js';
import { type CurvatureNeed, jointLoss } from '../../../sensitivity/measure.js';
import { rankCorrelation, ranks } from '../../../sensitivity/rank.js';
import { withContext } from '../../context/context.js';
import { openStore } from '../../context/store.js';
import { addCurvature } from './curvature.js';
import { solveLevels } from './levels.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-curvature-'));
afterAll(() => rmSync(folder, { recursive: true }));

const shape = {
  layers: 2,
  hidden: 32,
  intermediate: 64,
  heads: 4,
  vocabulary: 64,
  context: 16,
  epsilon: 1e-5,
};
const architectures = {
  llama: llama(
    { ...shape, modelType: 'llama', kvHeads: 2, rotary: { headDim: 8, theta: 10000 } },
    () => false,
  ),
  bert: smallBert(shape, 'mean'),
};
const next = uniform(7);
const text = Array.from({ length: 12 }, () => Int32Array.from({ length: 16 }, () => Math.floor(64 * next())));

function describeLevels(name: keyof typeof architectures, needs: readonly CurvatureNeed[]) {
  const { weights, ...random } = randomModel(architectures[name], 0.2);
  const read: Model['read'] = async (spec) => weights.get(spec) ?? new Float32Array();
  const model: Model = {
    ...random,
    checkpoint: emptyCheckpoint(folder),
    nameOf: ({ names }) => names.gguf,
    read,
    readRows: () => Promise.reject(new Error('not of this model')),
  };
  return withContext({ threads: 1 }, {}, async (context) => {
    const store = await openStore(join(folder, name));
    const evaluator = await createDivergenceEvaluator(model, text, context);
    const candidates = model.architecture.tensors.map((spec) => ({
      spec,
      name: spec.names.gguf,
      grids: (['linear', 'embedding'].includes(spec.kind) ? ['q4_0', 'q5_0'] : ['f32']).map(findGrid),
    }));
    const request = {
      model,
      candidates,
      recipe: { solver: 'rtn' },
      calibration: text,
      evaluator,
      probed: (grids: readonly ReturnType<typeof findGrid>[]) => (grids.length > 1 ? grids : []),
      statistics: true,
    };
    const tensors = await solveLevels(context, store, request, {});
    await evaluator.release();
    return addCurvature(context, store, request, tensors, needs, {});
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

test('of a language model the second order is about the divergence of each level', async () => {
  const needs = ['gradients', 'drawn gradients', 'traces', 'eigenvalues'] as const;
  const tensors = await describeLevels('llama', needs);
  const chosen = tensors.filter(({ levels }) => levels.length > 1);
  expect(chosen).toHaveLength(15);
  const measured = chosen.flatMap(({ levels }) => levels.map(({ divergence = Number.NaN }) => divergence));
  // Errors of plain rounding point anywhere, so that a diagonal tells nearly all.
  for (const [name, least, factor] of [
    ['second-order', 0.7, 2],
    ['gauss-newton', 0.85, 1.5],
    ['hutchinson', 0.8, 1.5],
    ['trace', 0.8, 1.5],
  ] as const) {
    const measure = sensitivityMeasures.find((each) => each.name === name);
    const losses = chosen.flatMap((tensor) => measure?.loss(tensor) ?? []);
    const ratio = mean(losses) / mean(measured);
    expect(Math.max(ratio, 1 / ratio), name).toBeLessThan(factor);
    expect(rankCorrelation(ranks(losses), ranks(measured)), name).toBeGreaterThan(least);
  }
  // Alone, a tensor has no interactions; two equal errors have four times the loss of one.
  const [level] = chosen[0]?.levels ?? [];
  if (!level) throw new Error('there is no level');
  expect(jointLoss([level])).toBeCloseTo(level.curvature?.drawnFisherForm ?? 0, 10);
  expect(jointLoss([level, level]) / jointLoss([level])).toBeCloseTo(4, 6);
  for (const { statistics, levels } of chosen) {
    const { trace = 0, eigenvalue = 0, eigenvalues = [] } = statistics?.curvature ?? {};
    expect(eigenvalue).toBeLessThan(trace * 1.5);
    expect(eigenvalue).toBeGreaterThan(0);
    expect(eigenvalues).toHaveLength(4);
    for (const { curvature = {} } of levels) {
      expect(curvature.fisher).toBeGreaterThan(0);
      expect(curvature.fisherForm).toBeGreaterThan(0);
      expect(curvature.slope).not.toBe(0);
    }
  }
  expect(await describeLevels('llama', needs)).toEqual(tensors);
});

test('of an encoder there are traces and eigenvalues, and no gradients of predictions', async () => {
  const tensors = await describeLevels('bert', ['traces', 'eigenvalues']);
  const chosen = tensors.filter(({ levels }) => levels.length > 1);
  expect(chosen).toHaveLength(13);
  const measured = chosen.flatMap(({ levels }) => levels.map(({ divergence = Number.NaN }) => divergence));
  const losses = chosen.flatMap(({ levels }) => levels.map(({ curvature }) => curvature?.diagonal ?? 0));
  expect(rankCorrelation(ranks(losses), ranks(measured))).toBeGreaterThan(0.8);
  await expect(describeLevels('bert', ['gradients'])).rejects.toThrow('an encoder predicts no tokens');
});
