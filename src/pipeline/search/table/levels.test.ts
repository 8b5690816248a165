import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { normals, uniform } from '../../../../test/reference/random.js';
import { emptyCheckpoint } from '../../../../test/tiny-model.js';
import { matrixShape } from '../../../architecture/architecture.js';
import { llama } from '../../../architecture/llama.js';
import { type Model, readBlock } from '../../../architecture/model.js';
import { createDivergenceEvaluator } from '../../../evaluation/divergence-evaluator.js';
import { findGrid } from '../../../grid/index.js';
import { withContext } from '../../context/context.js';
import { openStore } from '../../context/store.js';
import { readLevel } from './entries.js';
import { solveLevels } from './levels.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-levels-'));
afterAll(() => rmSync(folder, { recursive: true }));

const architecture = llama(
  {
    modelType: 'llama',
    layers: 2,
    hidden: 32,
    intermediate: 64,
    heads: 4,
    kvHeads: 2,
    vocabulary: 64,
    context: 16,
    epsilon: 1e-5,
    rotary: { headDim: 8, theta: 10000 },
  },
  () => false,
);
const read: Model['read'] = async (spec) => {
  const [rows, cols] = matrixShape(spec);
  if (spec.kind === 'norm') return new Float32Array(cols).fill(1);
  return normals(rows * cols, architecture.tensors.indexOf(spec)).map((x) => x / Math.sqrt(cols));
};
const model: Model = {
  architecture,
  checkpoint: emptyCheckpoint(folder),
  nameOf: ({ names }) => names.gguf,
  read,
  readRows: () => Promise.reject(new Error('not of this model')),
  readBlock: (block) => readBlock(architecture, block, read),
};
const next = uniform(7);
const text = Array.from({ length: 8 }, () => Int32Array.from({ length: 16 }, () => Math.floor(64 * next())));

function solve(statistics: boolean) {
  return withContext({ threads: 1 }, {}, async (context) => {
    const store = await openStore(join(folder, 'store'));
    const evaluator = await createDivergenceEvaluator(model, text, context);
    const candidates = architecture.tensors.map((spec) => ({
      spec,
      name: spec.names.gguf,
      grids: (spec.kind === 'norm' ? ['f32'] : ['q4_0', 'q8_0']).map(findGrid),
    }));
    const tensors = await solveLevels(
      context,
      store,
      {
        model,
        candidates,
        recipe: { solver: 'gptq' },
        calibration: text,
        evaluator,
        probed: (grids) => grids.slice(0, grids.length > 1 ? 1 : 0),
        statistics,
      },
      {},
    );
    const errors: number[] = [];
    for (const { spec, levels } of tensors) {
      const [weight, level] = [await read(spec), levels[0]];
      if (!level) throw new Error('there is no level');
      const values = await readLevel(context, store, level.key, level.grid, spec);
      const energy = weight.reduce((sum, x) => sum + x * x, 0);
      errors.push(weight.reduce((sum, x, i) => sum + (x - (values[i] ?? 0)) ** 2, 0) / energy);
    }
    await evaluator.release();
    return { tensors, errors };
  });
}

test('the store answers with the numbers that were computed, whatever else is asked for', async () => {
  const first = await solve(true);
  const entries = readdirSync(join(folder, 'store')).length;
  expect(await solve(true)).toEqual(first);
  expect(readdirSync(join(folder, 'store'))).toHaveLength(entries);
  // Another measure needs less, and finds the same levels.
  const plain = await solve(false);
  for (const [index, { levels, statistics }] of plain.tensors.entries()) {
    expect(statistics).toBeUndefined();
    const bare = first.tensors[index]?.levels.map(({ weightError: _, ...level }) => level);
    expect(levels).toEqual(bare);
  }
});

test('facts of a tensor and its levels', async () => {
  const { tensors, errors } = await solve(true);
  for (const [index, { spec, levels, statistics }] of tensors.entries()) {
    const [low, high] = levels;
    if (spec.kind === 'norm') {
      expect(levels).toHaveLength(1);
      expect(low?.relativeError).toBe(0);
      continue;
    }
    expect(low?.weightError).toBeCloseTo(errors[index] ?? 0, 6);
    expect(low?.weightError).toBeGreaterThan(30 * (high?.weightError ?? 1));
    expect(low?.relativeError).toBeGreaterThan(30 * (high?.relativeError ?? 1));
    expect(low?.divergence).toBeTypeOf('number');
    if (spec.role === 'ffn_down.weight') expect(low?.divergence).toBeGreaterThan(1e-5);
    expect(high?.divergence).toBeUndefined();
    // Of normal weights a share of Φ(−1) lies one deviation above the mean.
    expect(statistics?.outliers).toBeCloseTo(0.159, 1);
    expect(statistics?.entropy).toBeGreaterThan(3);
    expect(statistics?.depth).toBe(spec.block === undefined ? 0 : (spec.block + 1) / 2);
    expect(statistics?.cosine === undefined).toBe(spec.block === undefined);
    expect(statistics?.energy).toBeGreaterThan(0);
  }
});
