import { Command } from 'commander';
import { expect, test } from 'vitest';
import { compressOptions, type PlanFlags, planOptions } from './options.js';

async function parsed(...words: string[]) {
  const command = planOptions(new Command('compress')).exitOverride();
  command.parse(words, { from: 'user' });
  const warnings: string[] = [];
  const options = await compressOptions('model', 'out.gguf', command.opts<PlanFlags>(), (line) =>
    warnings.push(line),
  );
  return { options, warnings };
}

test('flags become the options of the table', async () => {
  const { options, warnings } = await parsed(
    ...['--type', 'Q4_K', '--override', 'up=q6_k', '--override', 'down=q5_k', '--size', '14MB'],
    ...['--solver-option', 'damping=0.1', '--accuracy-level', '4', '--match', 'own', '--predict'],
  );
  expect(options).toEqual({
    model: 'model',
    output: 'out.gguf',
    type: 'q4_k',
    overrides: [
      { pattern: /up/, type: 'q6_k' },
      { pattern: /down/, type: 'q5_k' },
    ],
    size: 14e6,
    solverOptions: { damping: 0.1 },
    accuracyLevel: 4,
    match: 'own',
    predict: true,
  });
  expect(warnings).toEqual([]);
});

test('a number may have a word in its place', async () => {
  expect((await parsed('--shrinkage', 'auto')).options.shrinkage).toBe('auto');
  expect((await parsed('--shrinkage', '0.3')).options.shrinkage).toBe(0.3);
  await expect(parsed('--shrinkage', '2')).rejects.toThrow('from 0 to 1');
});

test('names of the version before work and say the new ones', async () => {
  const { options, warnings } = await parsed(
    ...['--damage', 'trace', '--prefix', 'compressed', '--target', 'symmetric'],
    ...['--solver-option', 'shakes=4', '--search-option', 'kicks=2'],
  );
  expect(options).toMatchObject({
    sensitivity: 'trace',
    calibrateOn: 'quantized',
    match: 'own',
    solverOptions: { annealingPasses: 4 },
    searchOptions: { perturbations: 2 },
  });
  expect(warnings.toSorted()).toEqual([
    '--damage trace is --sensitivity trace now',
    '--prefix compressed is --calibrate-on quantized now',
    '--search-option kicks is called perturbations now',
    '--solver-option shakes is called annealingPasses now',
    '--target symmetric is --match own now',
  ]);
  await expect(parsed('--target', 'both')).rejects.toThrow('--match is original or own');
});

test('earlier names do not show in the help', () => {
  const help = planOptions(new Command('compress')).helpInformation();
  expect(help).toContain('--calibrate-on');
  expect(help).not.toMatch(/--(damage|prefix|target)\b/);
});

test('mixtures of llama.cpp are types of models, and of single tensors the type of most', async () => {
  const { options, warnings } = await parsed('--type', 'Q4_K_M', '--embedding-type', 'Q5_K_S');
  expect(options).toMatchObject({ type: 'q4_k_m', embeddingType: 'q5_k' });
  expect(warnings).toEqual([
    'Q5_K_S is a mixture of llama.cpp, which --type takes; taking --embedding-type q5_k',
  ]);
});

test('a small size needs a unit', async () => {
  await expect(parsed('--size', '14')).rejects.toThrow('give a unit: 14MB');
  expect((await parsed('--size', '14B')).options.size).toBe(14);
  expect((await parsed('--size', '13893536')).options.size).toBe(13893536);
});
