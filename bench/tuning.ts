/**
 * Whether Bayesian optimisation finds better recipes than random search in as many evaluations (src/pipeline/search/tune.ts): the
 * divergence of tales at q3_k by gptq on few tokens, measured for every recipe of a small space, and then what both
 * find in it. What was measured stays in test/fixtures/recipes.json, for src/allocation/bayesian.test.ts.
 *
 *   node bench/run.mjs tuning [threads] [store]
 */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { withContext } from '../src/pipeline/context/context.js';
import { defaultStoreFolder, openStore } from '../src/pipeline/context/store.js';
import type { CompressOptions } from '../src/pipeline/options.js';
import { requestedTypes } from '../src/pipeline/prepare/assign.js';
import { gather } from '../src/pipeline/prepare/prepare.js';
import { recipeOf } from '../src/pipeline/prepare/recipe-of.js';
import { average } from '../src/pipeline/search/paired.js';
import { createTrialCompressor } from '../src/pipeline/search/trial-compression.js';
import { tales } from '../test/fixtures/data.js';

const [, , , threads = '1', folder = defaultStoreFolder] = process.argv;
const options: CompressOptions = {
  ...tales,
  output: 'tuned.gguf',
  type: 'q3_k',
  solver: 'gptq',
  tokens: 4096,
};
const space = {
  damping: [0.003, 0.01, 0.03, 0.1, 0.3, 1],
  order: ['natural', 'activation'],
  groups: ['static', 'dynamic'],
  match: ['original', 'own'],
} as const;

await withContext({ threads: Number(threads) }, {}, async (context) => {
  const materials = await gather(context, options, {});
  const { model, calibration } = materials;
  const kinds = requestedTypes(model, materials.format, options);
  const types = new Map(model.architecture.tensors.map((spec) => [spec, kinds[spec.kind] ?? 'f32']));
  const compressor = createTrialCompressor(context, materials, await openStore(folder), options, {});
  const { calibrateOn: _, match: __, ...base } = recipeOf(options, calibration, {});
  const recipes: { readonly recipe: Record<string, number | string>; readonly value: number }[] = [];
  for (const match of space.match) {
    const inputs = { calibrateOn: 'quantized', match } as const;
    for (const damping of space.damping) {
      for (const order of space.order) {
        for (const groups of space.groups) {
          const recipe = { ...base, ...inputs, options: { damping, order, groups } };
          const value = Number(average(await compressor.full(types, recipe)).toPrecision(5));
          recipes.push({ recipe: { damping, order, groups, match }, value });
          console.log(match, damping, order, groups, value);
        }
      }
    }
  }
  await compressor.release();
  const path = fileURLToPath(new URL('../test/fixtures/recipes.json', import.meta.url));
  writeFileSync(path, `${JSON.stringify({ space, recipes }, null, 2)}\n`);
});
