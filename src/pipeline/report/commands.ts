import type { Command } from '../../report/findings.js';
import { outputFormats } from '../formats/index.js';
import { flagOf } from '../options/flags.js';
import { recipeParts } from '../options/recipe.js';
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

/** The options of `tersor compress` that a recipe stands for. */
function flags({ model, format, calibration = 'CALIBRATION.txt' }: Repeated, recipe: Recipe): string[] {
  const told = Object.values(outputFormats).find(({ extension }) => extension && model.endsWith(extension));
  return [
    ...(told?.name === format ? [] : ['--format', format]),
    ...recipeParts.flatMap(({ name, key }) => flagWords(flagOf(name), recipe[key])),
    ...(calibration === 'built-in' ? [] : ['--calibration', calibration]),
  ];
}

function flagWords(flag: string, value: unknown): string[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return [flag, value.join(',')];
  if (typeof value === 'object' && value !== null)
    return Object.entries(value).flatMap(([key, each]) => [flag, `${key}=${each}`]);
  return [flag, String(value)];
}

const line = (words: readonly string[]) => words.map(quoted).join(' ');

/** As a POSIX shell wants it. */
const quoted = (word: string) =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
