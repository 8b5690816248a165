import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compress } from '../src/pipeline/compress.js';
import type { ProgressEvent } from '../src/pipeline/context/progress.js';
import { evaluate } from '../src/pipeline/evaluate.js';
import type { CompressResult } from '../src/pipeline/measure/result.js';
import type { CompressOptions } from '../src/pipeline/options.js';
import { plan } from '../src/pipeline/plan.js';
import { recipeFile } from '../src/pipeline/prepare/plan.js';
import { readRecipe } from '../src/pipeline/prepare/recipe.js';
import { planFront } from '../src/pipeline/search/front.js';
import { tales } from './fixtures/data.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-size-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Two parts of one text: tales knows the text that it was trained on too well to compare it with another. */
const [calibration, evaluation] = [join(folder, 'calibration.txt'), join(folder, 'evaluation.txt')];
const text = readFileSync(tales.evaluation, 'utf8');
const cut = Math.floor(0.7 * text.length);
writeFileSync(calibration, text.slice(0, cut));
writeFileSync(evaluation, text.slice(cut));

const output = join(folder, 'model.gguf');
const options = {
  model: tales.model,
  output,
  calibration,
  tokens: 4096,
  solver: 'gptq',
  types: ['q2_k', 'q3_k', 'q4_k', 'q6_k'],
  store: join(folder, 'store'),
} satisfies CompressOptions;
const stored = (result: { readonly tensors: readonly { readonly bytes: number }[] }) =>
  result.tensors.reduce((sum, { bytes }) => sum + bytes, 0);

/** The files of a store by their inodes: an entry that is written again has another one. */
const entries = (store: string) =>
  new Set(readdirSync(store).map((name) => `${name} ${statSync(join(store, name)).ino}`));

describe('a size', () => {
  /** Of a file with every layer in q3_k and the embedding in q6_k. */
  const size = 2_355_328;
  let result: CompressResult;
  beforeAll(async () => {
    result = await compress({ ...options, size });
  });

  test('is never exceeded, and used to 99.5 %', () => {
    expect(statSync(output).size).toBe(result.bytes);
    expect(result.bytes).toBeLessThanOrEqual(size);
    expect(result.bytes).toBeGreaterThan(0.995 * size);
    expect(new Set(result.tensors.map(({ type }) => type)).size).toBeGreaterThan(2);
  });

  test('is planned to the byte, with the same types', async () => {
    const planned = await plan({ ...options, size });
    expect(planned.bytes).toBe(result.bytes);
    expect(planned.tensors.map(({ type }) => type)).toEqual(result.tensors.map(({ type }) => type));
  });

  test('is worth more than one type for all', async () => {
    const uniform = join(folder, 'uniform.gguf');
    const { model, tokens, solver } = options;
    const { bytes } = await compress({ model, output: uniform, calibration, tokens, solver, type: 'q3_k' });
    expect(Math.abs(bytes - size)).toBeLessThan(2000);
    const measure = (model: string) =>
      evaluate({ model, against: tales.model, text: evaluation, context: 256 });
    const [mixed, plain] = [await measure(output), await measure(uniform)];
    expect(mixed.divergence?.mean).toBeLessThan(0.8 * (plain.divergence?.mean ?? 0));
    const { prediction } = await plan({ ...options, type: 'q3_k', predict: true });
    const miss = Math.abs((plain.divergence?.mean ?? Number.NaN) - (prediction?.divergence ?? 0));
    expect(miss).toBeLessThan(1.5 * (prediction?.uncertainty ?? 0));
  });

  test('comes with an expectation that holds', () => {
    const { search, heldOut } = result;
    const miss = Math.abs((heldOut?.divergence?.mean ?? Number.NaN) - (search?.divergence ?? 0));
    expect(miss).toBeLessThan(1.5 * (search?.uncertainty ?? 0));
  });

  test('is repeated by the recipe, to the last byte', async () => {
    const path = join(folder, 'plan.json');
    const planned = await plan({ ...options, size });
    writeFileSync(path, JSON.stringify(recipeFile(planned)));
    const copy = join(folder, 'copy.gguf');
    const { model } = options;
    await compress({ model, output: copy, calibration, recipe: await readRecipe(path) });
    expect(readFileSync(copy).equals(readFileSync(output))).toBe(true);
  });
});

test('bits count all weights, the embedding included', async () => {
  for (const bits of [2.7, 3.3]) {
    const planned = await plan({ ...options, bits });
    expect(planned.bitsPerWeight).toBeLessThanOrEqual(bits);
    expect(planned.bitsPerWeight).toBeGreaterThan(0.995 * bits);
    const elements = planned.tensors.reduce((sum, tensor) => sum + tensor.elements, 0);
    expect((8 * stored(planned)) / elements).toBeCloseTo(planned.bitsPerWeight, 10);
  }
});

test('a limit on the divergence holds, and not by far', async () => {
  const maxDivergence = 0.15;
  const limited = await compress({ ...options, output: join(folder, 'limited.gguf'), maxDivergence });
  const { divergence } = await evaluate({
    model: join(folder, 'limited.gguf'),
    against: tales.model,
    text: evaluation,
    context: 256,
  });
  expect(divergence?.mean).toBeLessThan(maxDivergence);
  expect(divergence?.mean).toBeGreaterThan(0.6 * maxDivergence);
  expect(limited.search?.search).toBe('bisection');
  const brief = await plan({ ...options, maxDivergence, searchOptions: { measurements: 3 } });
  expect(brief.search?.note).toBe('3 mixtures measured');
  expect(brief.bytes).toBeGreaterThanOrEqual(limited.bytes);
  await expect(plan({ ...options, maxDivergence: 1e-5 })).rejects.toThrow('no allocation holds the limit');
});

test('overrides are kept', async () => {
  const overrides = [{ pattern: /ffn_down/, type: 'q6_k' }];
  const planned = await plan({ ...options, overrides, bits: 4 });
  const down = planned.tensors.filter(({ name }) => name.includes('ffn_down'));
  expect(down.map(({ type }) => type)).toEqual(down.map(() => 'q6_k'));
  expect(planned.bitsPerWeight).toBeLessThanOrEqual(4);
});

test('an interrupted search goes on where it was, and nothing is solved twice', async () => {
  const store = join(folder, 'interrupted');
  const controller = new AbortController();
  const progress = ({ detail }: ProgressEvent) => {
    if (detail?.task === 'levels' && detail.done === 60)
      controller.abort(new Error('stopped before the end'));
  };
  const interrupted = plan({ ...options, store, bits: 3 }, { signal: controller.signal, progress });
  await expect(interrupted).rejects.toThrow('stopped');
  const solved = entries(store);
  expect(solved.size).toBeGreaterThan(50);
  const resumed = await plan({ ...options, store, bits: 3 });
  const complete = entries(store);
  expect([...solved].every((entry) => complete.has(entry))).toBe(true);
  expect((await plan({ ...options, bits: 3 })).tensors).toEqual(resumed.tensors);

  const larger = await plan({ ...options, store, bits: 3.5 });
  const after = entries(store);
  expect([...complete].every((entry) => after.has(entry))).toBe(true);
  // Only its front, for the report.
  expect(after.size).toBe(complete.size + 1);
  expect(larger.bytes).toBeGreaterThan(resumed.bytes);
});

test('every search keeps to the budget', async () => {
  for (const search of ['layer-dp', 'families', 'interactions']) {
    const planned = await plan({ ...options, bits: 3, search });
    expect(planned.bitsPerWeight, search).toBeLessThanOrEqual(3);
    expect(planned.bitsPerWeight, search).toBeGreaterThan(0.99 * 3);
  }
});

test('the front falls, and no type for all beats it', async () => {
  const points = await planFront({ ...options, searchOptions: { measurements: 12 } });
  expect(points.length).toBeGreaterThan(3);
  for (const [i, { bytes, divergence }] of points.entries()) {
    expect(bytes).toBeGreaterThan(points[i - 1]?.bytes ?? 0);
    expect(divergence).toBeLessThan(points[i - 1]?.divergence ?? Number.POSITIVE_INFINITY);
  }
});

test('what cannot be is said', async () => {
  const least = /the smallest possible is (\d+)/;
  const message = await plan({ ...options, size: 1_000_000 }).catch(({ message }: Error) => message);
  expect(message).toMatch(least);
  const size = Number(least.exec(String(message))?.[1]);
  expect((await plan({ ...options, size })).bytes).toBe(size);
  await expect(plan({ ...options, size: size - 1 })).rejects.toThrow('the smallest possible is');
  const overrides = [{ pattern: /token_embd/, type: 'f16' }];
  await expect(plan({ ...options, size, overrides })).rejects.toThrow('with --override token_embd=f16 is');
  const shadowed = [
    { pattern: /attn_q/, type: 'q4_k' },
    { pattern: /attn/, type: 'q6_k' },
  ];
  await expect(plan({ ...options, type: 'q4_k', overrides: shadowed })).rejects.toThrow(
    '--override attn_q=q4_k and --override attn=q6_k contradict each other',
  );
  await expect(plan({ ...options, size, bits: 4 })).rejects.toThrow(
    '--size and --bits contradict each other',
  );
  await expect(plan({ ...options, size, type: 'q4_k' })).rejects.toThrow('--size and --type');
  await expect(plan({ ...options, size, search: 'luck' })).rejects.toThrow('there is no search luck');
  const limit = { ...options, maxDivergence: 0.1 };
  await expect(plan({ ...limit, search: 'evopress' })).rejects.toThrow('--search evopress does not look for');
  await expect(plan({ ...limit, searchOptions: { states: 3 } })).rejects.toThrow(
    'bisection has no option states',
  );
  await expect(plan({ ...options, size, sensitivity: 'pain' })).rejects.toThrow(
    'no measure of sensitivity pain',
  );
  await expect(plan({ ...options, size, types: ['int4'] })).rejects.toThrow('cannot hold the type int4');
});
