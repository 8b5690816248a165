import type { Command } from '../../report/findings.js';
import type { Recipe } from '../prepare/recipe.js';

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

const one = (flag: string) => (value: unknown) => [flag, String(value)];
const many = (flag: string) => (values: object) =>
  Object.entries(values).flatMap(([key, value]) => [flag, `${key}=${value}`]);

/** The option of `tersor compress` behind every part of a recipe; a part without one does not compile. */
const optionOf: {
  readonly [Part in keyof Required<Recipe>]: (value: NonNullable<Recipe[Part]>) => string[];
} = {
  size: one('--size'),
  bits: one('--bits'),
  maxDivergence: one('--max-divergence'),
  type: one('--type'),
  embedding: one('--embedding-type'),
  overrides: many('--override'),
  fallback: one('--fallback'),
  activations: one('--activations'),
  accuracyLevel: one('--accuracy-level'),
  types: (types) => ['--types', types.join(',')],
  search: one('--search'),
  searchOptions: many('--search-option'),
  sensitivity: one('--sensitivity'),
  solver: one('--solver'),
  options: many('--solver-option'),
  calibrateOn: one('--calibrate-on'),
  match: one('--match'),
  bias: one('--bias'),
  imatrix: one('--imatrix'),
  context: one('--context'),
  tokens: one('--tokens'),
  seed: one('--seed'),
};

/** The options of `tersor compress` that a recipe stands for. */
function flags({ format, calibration = 'CALIBRATION.txt' }: Repeated, recipe: Recipe): string[] {
  const parts = Object.keys(optionOf) as (keyof Recipe)[];
  return [
    ...(format === 'gguf' ? [] : ['--format', format]),
    ...parts.flatMap((part) => option(part, recipe)),
    ...(calibration === 'built-in' ? [] : ['--calibration', calibration]),
  ];
}

function option<Part extends keyof Recipe>(part: Part, recipe: Recipe): string[] {
  const value = recipe[part];
  return value === undefined ? [] : optionOf[part](value as NonNullable<Recipe[Part]>);
}

const line = (words: readonly string[]) => words.map(quoted).join(' ');

/** As a POSIX shell wants it. */
const quoted = (word: string) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
