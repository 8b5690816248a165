import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tales } from '../../../test/fixtures/data.js';
import { micros, writeMicro } from '../../../test/fixtures/micro.js';
import { normals } from '../../../test/reference/random.js';
import type { TensorSpec } from '../../architecture/architecture.js';
import { findRowMixGrid } from '../../grid/tersor/row-mix.js';
import { compress } from '../compress.js';
import { withContext } from '../context/context.js';
import type { CompressOptions } from '../options.js';
import { plan } from '../plan.js';
import { unpackTensor } from './packed.js';
import { compressTensor } from './tensor.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-rows-'));
afterAll(() => rmSync(folder, { recursive: true }));
const model = join(folder, 'model');
beforeAll(() => writeMicro(model, micros.llama, 1));

const options = {
  model,
  format: 'safetensors',
  calibration: tales.calibration,
  solver: 'gptq',
  tokens: 256,
  context: 32,
  store: join(folder, 'store'),
} satisfies Partial<CompressOptions>;

test('rows get eight bits where importance times error is largest', async () => {
  const [rows, cols] = [40, 64];
  const spec: TensorSpec = {
    role: 'w.weight',
    kind: 'linear',
    shape: [rows, cols],
    names: { huggingface: 'w.weight', gguf: 'w.weight' },
  };
  const grid = findRowMixGrid('int3-r10');
  if (!grid) throw new Error('there is no such grid');
  const weight = normals(rows * cols, 3);
  const compressed = await withContext({ threads: 1 }, {}, async (context) => {
    const importance = new Float32Array(rows).fill(1);
    for (const row of [2, 11, 30, 39]) importance[row] = 100;
    const solve = async (task: typeof grid | typeof grid.low) => {
      const recipe = { solver: 'rtn' };
      const solved = await compressTensor(context, { spec, grid: task }, weight, undefined, recipe, {
        rows: importance,
      });
      return { ...solved, decoded: await unpackTensor(context.kernels, { spec, grid: task }, solved.bytes) };
    };
    return { mixed: await solve(grid), low: await solve(grid.low) };
  });
  const changed = Array.from({ length: rows }, (_, row) => row).filter((row) =>
    compressed.mixed.decoded
      .subarray(row * cols, (row + 1) * cols)
      .some((value, col) => value !== compressed.low.decoded[row * cols + col]),
  );
  expect(changed).toEqual([2, 11, 30, 39]);
  expect(compressed.mixed.bytes.length).toBe(grid.bytes(rows, cols));
  // Without moments the error is that of the weights.
  const energy = (values: Float32Array) => values.reduce((sum, value) => sum + value ** 2, 0);
  const error = energy(weight.map((value, i) => value - (compressed.mixed.decoded[i] ?? 0))) / energy(weight);
  expect(compressed.mixed.relativeError / error).toBeCloseTo(1, 4);
});

test('a model with rows of two precisions is written, read back and loses less', async () => {
  const run = (type: string) =>
    compress({ ...options, output: join(folder, type), type, embeddingType: type });
  const [mixed, low] = [await run('int3-r10'), await run('int3')];
  const planned = await plan({ ...options, output: '', type: 'int3-r10', embeddingType: 'int3-r10' });
  expect(mixed.bytes).toBe(planned.bytes);
  expect(mixed.bitsPerWeight / low.bitsPerWeight).toBeCloseTo(1 + (0.1 * 5) / 3.5, 1);
  expect(mixed.heldOut?.divergence?.mean).toBeLessThan(0.95 * (low.heldOut?.divergence?.mean ?? 0));
});

test('a search gives every tensor a share of its own', async () => {
  const search = { ...options, output: '', types: ['int3-r*'], bits: 4 };
  const { tensors, bitsPerWeight } = await plan(search);
  expect(bitsPerWeight).toBeLessThanOrEqual(4);
  expect(bitsPerWeight).toBeGreaterThan(3.95);
  expect(new Set(tensors.map(({ type }) => type)).size).toBeGreaterThan(3);
});
