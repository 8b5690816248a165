import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tales } from '../../../test/fixtures/data.js';
import { micros, writeMicro } from '../../../test/fixtures/micro.js';
import { compress } from '../compress.js';
import type { CompressOptions } from '../options.js';
import { plan } from '../plan.js';
import { recipeFile } from '../prepare/plan.js';
import { readRecipe } from '../prepare/recipe.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-tune-'));
afterAll(() => rmSync(folder, { recursive: true }));
const options: CompressOptions = {
  model: join(folder, 'model'),
  output: join(folder, 'model.gguf'),
  calibration: tales.calibration,
  type: 'q4_0',
  embeddingType: 'q8_0',
  solver: 'gptq',
  tokens: 256,
  context: 32,
  store: join(folder, 'store'),
};
beforeAll(() => writeMicro(options.model, micros.llama, 1));

test('tries recipes from the given one on, and plans with the best', async () => {
  const planned = await plan({ ...options, tune: 4 });
  const { trials, chosen, tokens } = planned.tuning ?? { trials: [], chosen: -1, tokens: 0 };
  expect(trials).toHaveLength(4);
  expect(trials[0]?.settings).toMatchObject({ damping: 0.01, match: 'original' });
  expect(new Set(trials.map(({ settings }) => JSON.stringify(settings))).size).toBe(4);
  expect(tokens).toBeGreaterThan(1000);
  const best = trials[chosen];
  expect(best?.divergence).toBeLessThanOrEqual(trials[0]?.divergence ?? 0);
  const { match = 'original inputs', ...solver } = best?.settings ?? {};
  if (chosen > 0) expect(planned.recipe).toMatchObject({ options: solver });
  expect(planned.recipe.match ?? 'original inputs').toBe(match);

  // What was measured is what the recipe gives: the same tensors, to the last byte.
  const path = join(folder, 'plan.json');
  writeFileSync(path, JSON.stringify(recipeFile(planned)));
  const { type: _, embeddingType: __, solver: ___, ...rest } = options;
  const repeated = await compress({ ...rest, recipe: await readRecipe(path) });
  expect(repeated.bytes).toBe(planned.bytes);
  expect((await plan({ ...options, tune: 4 })).tuning?.trials).toEqual(trials);
});

test('leaves alone what the caller has set', async () => {
  const solverOptions = { damping: 0.02, order: 'natural' };
  const { tuning, recipe } = await plan({ ...options, solverOptions, calibrateOn: 'original', tune: 2 });
  expect(Object.keys(tuning?.trials[0]?.settings ?? {})).toEqual(['groups']);
  expect(recipe).toMatchObject({ calibrateOn: 'original', options: solverOptions });
  const everything = { ...solverOptions, groups: 'static' };
  await expect(
    plan({ ...options, solverOptions: everything, calibrateOn: 'original', tune: 2 }),
  ).rejects.toThrow('gptq has no settings left to tune');
});
