import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { z } from 'zod';
import { parseConfig } from '../../architecture/config.js';
import { readRecipe } from './recipe.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-recipe-'));
afterAll(() => rmSync(folder, { recursive: true }));

const right = {
  format: 'tersor-recipe-1',
  model: 'm',
  output: 'gguf',
  recipe: { solver: 'gptq', calibrateOn: 'quantized', tokens: 64, context: 32 },
  types: {},
};
const { solver: _, ...unsolved } = right.recipe;

test.each([
  [{ ...right, types: undefined }, "the recipe's types is missing"],
  [{ ...right, output: 'ggml' }, "the recipe's output must be gguf or "],
  [{ ...right, recipe: unsolved }, "the recipe's recipe.solver is missing"],
  [{ ...right, recipe: { ...right.recipe, tokens: 'many' } }, "the recipe's recipe.tokens must be a number"],
  [{ ...right, recipe: { ...right.recipe, later: 1 } }, "the recipe's recipe must not have later"],
  [{ ...right, types: { a: 4 } }, "the recipe's types.a must be a text"],
  [[], "the recipe's contents must be an object"],
])('what is wrong with a recipe is said in plain words: %#', async (content, message) => {
  const path = join(folder, 'recipe.json');
  writeFileSync(path, JSON.stringify(content));
  const problem = await readRecipe(path).then(
    () => '',
    (error: Error) => error.message,
  );
  expect(problem).toContain(`${path}: ${message}`);
  expect(problem).not.toMatch(/invalid|expected|received|unrecognized/i);
});

test('and so it is with a configuration', () => {
  const schema = z.object({ hidden_size: z.int().positive().max(64), hidden_act: z.enum(['silu', 'gelu']) });
  const problem = (config: unknown) => () => parseConfig(schema, config, 'config.json');
  expect(problem({ hidden_act: 'silu' })).toThrow("the configuration's hidden_size is missing; check");
  expect(problem({ hidden_size: '8', hidden_act: 'silu' })).toThrow('hidden_size must be a number');
  expect(problem({ hidden_size: 1.5, hidden_act: 'silu' })).toThrow('hidden_size must be a whole number');
  expect(problem({ hidden_size: 0, hidden_act: 'silu' })).toThrow('hidden_size must be above 0');
  expect(problem({ hidden_size: 65, hidden_act: 'silu' })).toThrow('hidden_size must be at most 64');
  expect(problem({ hidden_size: 8, hidden_act: 'relu' })).toThrow('hidden_act must be silu or gelu');
});
