import { expect, test } from 'vitest';
import { z } from 'zod';
import { nearest, parseOptions } from './method.js';

const schema = z.strictObject({
  damping: z.number().min(0).max(1).default(0.1),
  passes: z.int().positive().default(1),
  order: z.enum(['energy', 'natural']).default('energy'),
});

test.each([
  [{ dampng: 1 }, 'gptq has no option dampng; see tersor methods --options'],
  [{ damping: 7 }, 'option damping of gptq must be at most 1'],
  [{ damping: -1 }, 'option damping of gptq must be at least 0'],
  [{ damping: 'much' }, 'option damping of gptq must be a number'],
  [{ passes: 0 }, 'option passes of gptq must be above 0'],
  [{ passes: 1.5 }, 'option passes of gptq must be a whole number'],
  [{ order: 'none' }, 'option order of gptq must be energy or natural'],
])('%j is refused in plain words', (options, words) => {
  expect(() => parseOptions('gptq', schema, options)).toThrow(words);
});

test('what is left open gets its default', () => {
  expect(parseOptions('gptq', schema, { passes: 3 })).toEqual({ damping: 0.1, passes: 3, order: 'energy' });
});

test.each([
  ['q4kk', 'q4_k'],
  ['q8', 'q8_0'],
  ['gtpq', 'gptq'],
  ['gptq2', 'gptq'],
  ['nothing', undefined],
  ['', undefined],
])('%j is taken for %j', (word, meant) => {
  expect(nearest(word, ['q8_0', 'q4_k', 'gptq', 'rtn'])).toBe(meant);
});
