import type { Command } from '../report/findings.js';
import type { Recipe } from './recipe.js';

/** What the command lines that repeat a run are made from. */
export interface Repeated {
  readonly model: string;
  readonly original?: string;
  readonly text?: string;
  readonly calibration?: string;
  readonly format: string;
  readonly recipe?: Recipe;
}

/** Command lines that make, measure and try a file again. */
export function commandsFor(repeated: Repeated): Command[] {
  const { model, original = 'ORIGINAL', text = 'TEXT.txt', recipe } = repeated;
  const runs = ['gguf', 'onnx'].includes(repeated.format);
  return [
    ...(recipe
      ? [
          {
            line: line(['tersor', 'compress', original, '-o', model, ...flags(repeated, recipe)]),
            meaning: 'makes it',
          },
        ]
      : []),
    {
      line: line(['tersor', 'evaluate', model, '--against', original, '--text', text]),
      meaning: 'measures it',
    },
    {
      line: line(['tersor', 'report', model, '--against', original, '--text', text]),
      meaning: 'writes a report like this one',
    },
    { line: line(['tersor', 'inspect', model, '--verbose']), meaning: 'lists every tensor' },
    ...(runs
      ? [{ line: line(['tersor', 'run', model, 'Once upon a time']), meaning: 'continues a prompt' }]
      : []),
  ];
}

/** The options of `tersor compress` that a recipe stands for. */
function flags({ format, calibration = 'CALIBRATION.txt' }: Repeated, recipe: Recipe): string[] {
  const { type, embedding, size, bits, maxDivergence, types, search, damage, fallback, solver } = recipe;
  const { prefix, target, context, tokens, seed, overrides = {}, options, searchOptions } = recipe;
  const { activations, accuracyLevel, imatrix } = recipe;
  const one = (flag: string, value: string | number | undefined) =>
    value === undefined ? [] : [flag, String(value)];
  const many = (flag: string, values: Readonly<Record<string, unknown>> = {}) =>
    Object.entries(values).flatMap(([key, value]) => [flag, `${key}=${value}`]);
  return [
    ...(format === 'gguf' ? [] : ['--format', format]),
    ...one('--size', size),
    ...one('--bits', bits),
    ...one('--max-divergence', maxDivergence),
    ...one('--type', type),
    ...one('--embedding-type', embedding),
    ...many('--override', overrides),
    ...one('--fallback', fallback),
    ...one('--activations', activations),
    ...one('--accuracy-level', accuracyLevel),
    ...one('--types', types?.join(',')),
    ...one('--search', search),
    ...many('--search-option', searchOptions),
    ...one('--damage', damage),
    ...one('--solver', solver),
    ...many('--solver-option', options),
    ...one('--prefix', prefix),
    ...one('--target', target),
    ...(calibration === 'built-in' ? [] : one('--calibration', calibration)),
    ...one('--imatrix', imatrix),
    ...one('--context', context),
    ...one('--tokens', tokens),
    ...one('--seed', seed),
  ];
}

const line = (words: readonly string[]) => words.map(quoted).join(' ');

/** As a POSIX shell wants it. */
const quoted = (word: string) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
