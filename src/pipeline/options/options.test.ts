import { expect, test } from 'vitest';
import { compress } from '../../index.js';
import { checkApplicable, checkOptions, withRecipe } from '../options.js';
import { writtenRecipe } from '../prepare/recipe.js';
import { flagOf } from './flags.js';
import { recipeFrom, recipeParts, solveIdentity } from './recipe.js';
import { optionNames, rowOf } from './rows.js';
import { inOptionNames } from './wording.js';

const recipe = recipeFrom({ solver: 'gptq', calibrateOn: 'quantized', tokens: 1024, context: 256 });
const paths = { model: 'a', output: 'b.gguf' };

test('what decides on codes is part of the key of solved tensors, and nothing else is', () => {
  const values = { accuracyLevel: 4, size: 5, bits: 4, tokens: 77, context: 33, seed: 1, maxDivergence: 0.1 };
  for (const { name, key, decides } of recipeParts) {
    const { kind, words } = rowOf(name);
    const value =
      name in values
        ? values[name as keyof typeof values]
        : kind === 'settings'
          ? { a: 1 }
          : kind === 'words'
            ? ['x']
            : (words?.at(-1) ?? 'other');
    const changed = solveIdentity({ ...recipe, [key]: value }) !== solveIdentity(recipe);
    expect([name, changed]).toEqual([name, decides === 'solution']);
  }
});

test('recipes of the version before are read under the names of this one', () => {
  const before = {
    solver: 'decoupleq',
    options: { anneals: 4, shakes: 2, damping: 0.1 },
    prefix: 'compressed',
    target: 'asymmetric',
    damage: 'trace',
    searchOptions: { kicks: 3 },
    context: 256,
    tokens: 1024,
  };
  expect(writtenRecipe(JSON.stringify(before))).toEqual({
    solver: 'decoupleq',
    options: { annealingSweeps: 4, annealingPasses: 2, damping: 0.1 },
    calibrateOn: 'quantized',
    match: 'original',
    sensitivity: 'trace',
    searchOptions: { perturbations: 3 },
    context: 256,
    tokens: 1024,
  });
  expect(writtenRecipe(JSON.stringify({ ...before, target: 'symmetric' }))?.match).toBe('own');
  expect(writtenRecipe(JSON.stringify({ ...before, later: 1 }))).toBeUndefined();
});

test('a recipe fills in what is left open, and types are its own', () => {
  const file = {
    format: 'tersor-recipe-1' as const,
    model: 'm',
    output: 'gguf' as const,
    recipe: { ...recipe, bias: 'kept' as const, type: 'q4_k', overrides: { up: 'q6_k' } },
    types: {},
  };
  expect(withRecipe({ ...paths, recipe: file, solver: 'rtn' })).toEqual({
    ...paths,
    recipe: { ...file, recipe: { ...file.recipe, solver: 'rtn' } },
    format: 'gguf',
    solver: 'rtn',
    calibrateOn: 'quantized',
    bias: 'kept',
    tokens: 1024,
    context: 256,
  });
});

test('options beside a recipe win over it, or are refused by name', () => {
  const file = {
    format: 'tersor-recipe-1' as const,
    model: 'm',
    output: 'gguf' as const,
    recipe: { ...recipe, options: { damping: 0.1 }, match: 'original' as const, bias: 'corrected' as const },
    types: {},
  };
  const made = (more: object) => withRecipe({ ...paths, recipe: file, ...more });
  for (const more of [
    { bias: 'kept' },
    { tokens: 77 },
    { name: 'mine' },
    { shrinkage: 0.3 },
    { match: 'own' },
  ]) {
    const { recipe: changed, ...options } = made(more);
    expect(options).toMatchObject(more);
    expect(changed?.recipe).toMatchObject(more);
  }
  expect(made({ solverOptions: { damping: 0.2 } }).recipe?.recipe.options).toEqual({ damping: 0.2 });
  // What belongs to another solver, or to other inputs, goes with it.
  expect(made({ solver: 'rtn' }).recipe?.recipe).not.toHaveProperty('options');
  expect(made({ solver: 'rtn' })).not.toHaveProperty('solverOptions');
  expect(made({ calibrateOn: 'original' }).recipe?.recipe).not.toHaveProperty('match');
  for (const more of [
    { embeddingType: 'q8_0' },
    { fallback: 'q8_0' },
    { search: 'evopress' },
    { types: ['q4_k'] },
  ])
    expect(() => made(more)).toThrow(/^--[a-z-]+ and --recipe contradict each other/);
  expect(() => made({ format: 'onnx' })).toThrow('--format and --recipe contradict');
  expect(made({ format: 'gguf' }).format).toBe('gguf');
});

test('unknown options and values are refused by name', () => {
  expect(() => checkOptions({ ...paths, typ: 'q4_k' } as never)).toThrow('there is no option typ');
  expect(() => checkOptions({ ...paths, tokens: 0 })).toThrow(
    '--tokens cannot be 0; give a whole number from 1 on',
  );
  expect(() => checkOptions({ ...paths, match: 'both' as never })).toThrow(
    '--match cannot be "both"; give original or own',
  );
  expect(() => checkOptions({ ...paths, accuracyLevel: 3 as never })).toThrow('give 0 or 4');
  expect(() => checkOptions({ ...paths, shrinkage: 2 })).toThrow('auto or a number from 0 to 1');
  checkOptions({ ...paths, shrinkage: 'auto' });
  checkOptions({ ...paths, overrides: [{ pattern: /x/, type: 'q8_0' }], seed: 0, predict: true });
});

test('options that a format would ignore are refused', () => {
  expect(() => checkApplicable({ ...paths, activations: 'f16' }, 'gguf')).toThrow('--activations');
  expect(() => checkApplicable({ ...paths, type: 'q4_k' }, 'stack')).toThrow('--type');
  checkApplicable({ ...paths, activations: 'f16' }, 'onnx');
});

test('programs hear of options, command lines of flags', async () => {
  expect(inOptionNames('--max-divergence and --solver-option; leave --override or --no-resume out')).toBe(
    '`maxDivergence` and `solverOptions`; leave `overrides` or `resume` out',
  );
  await expect(compress({ ...paths, type: 'q4_k', size: 5 })).rejects.toThrow(
    '`size` and `type` contradict each other',
  );
});

test('flags are unique, aliases included', () => {
  const flags = optionNames.flatMap((name) => [
    flagOf(name),
    ...(rowOf(name).aliases ?? []).map(({ flag }) => `--${flag}`),
  ]);
  expect(new Set(flags).size).toBe(flags.length);
});
