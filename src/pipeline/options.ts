import type { Portion } from '../checkpoint/stack/stack.js';
import { TersorError } from '../errors.js';
import type { ContextOptions } from './context/context.js';
import type { Runtime } from './formats/runtime.js';
import { optionsFrom } from './options/recipe.js';
import {
  flagOf,
  type OptionName,
  type OptionRows,
  type OptionValue,
  optionNames,
  rowOf,
} from './options/rows.js';
import type { RecipeFile } from './prepare/recipe.js';

export type { Override } from './options/row.js';

/** Optional properties for options, with the docs that these have in their table. */
type Optional<Rows, Name extends keyof Rows> = { readonly [Key in Name]?: OptionValue<Rows[Key]> };

/** What decides on a compression; all but the paths and the recipe come from the table of options. */
export interface CompressOptions extends Optional<OptionRows, OptionName> {
  /** A Hugging Face directory, a hub id, a `.gguf`, or a llama2.c `.bin`. */
  readonly model: string;
  /** The file or folder to write. */
  readonly output: string;
  /** In place of a type: a plan made before (src/pipeline/prepare/recipe.ts). */
  readonly recipe?: RecipeFile;
  /** Whether to go on where an earlier run of the same job stopped, and to keep what such a one needs; by default yes. */
  readonly resume?: boolean;
}

/** Options that have no row in the table. */
const others: readonly string[] = ['model', 'output', 'recipe', 'resume'];

/**
 * Checks the options that a program gives.
 * @throws TersorError that names the option when there is none of that name, or its value is none that it can have
 */
export function checkOptions(options: CompressOptions): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || others.includes(name)) continue;
    const known = optionNames.find((option) => option === name);
    if (!known)
      throw new TersorError(`there is no option ${name}`, {
        code: 'invalid-option',
        remedy: `use one of ${optionNames.join(', ')}`,
      });
    const result = rowOf(known).schema.safeParse(value);
    if (result.success) continue;
    const [issue] = result.error.issues;
    throw new TersorError(`${flagOf(known)}: ${issue?.message.toLowerCase() ?? 'not valid'}`, {
      code: 'invalid-option',
      remedy: 'give another value',
      cause: result.error,
    });
  }
}

/** @throws TersorError for an option that does not apply to this output format, and would be ignored */
export function checkApplicable(options: CompressOptions, format: string): void {
  for (const name of optionNames) {
    const { formats } = rowOf(name);
    if (options[name] === undefined || !formats) continue;
    if ('only' in formats ? formats.only.includes(format) : !formats.not.includes(format)) continue;
    throw new TersorError(`${flagOf(name)} does not apply to the output format ${format}`, {
      code: 'invalid-option',
      file: options.output,
      remedy: `leave it out, or write with another --format`,
    });
  }
}

export interface EvaluateOptions extends ContextOptions {
  readonly model: string;
  /** The original, to compare with. */
  readonly against?: string;
  /** A text file that calibration has not seen. */
  readonly text: string;
  readonly context?: number;
  /** Tokens of text at most; of language models, the second half of each context is scored. */
  readonly tokens?: number;
  /** Whose arithmetic runs the model; the reference is always tersor's. */
  readonly runtime?: 'tersor' | Runtime['name'];
  /** How much of a stacked file to use. */
  readonly portion?: Portion;
}

/** The options that decide on types, of which there can be one. */
const goals = ['size', 'bits', 'maxDivergence', 'type', 'recipe'] as const;
const searchGoals: readonly string[] = ['size', 'bits', 'maxDivergence'];

/**
 * Whether types are to be searched for.
 * @throws TersorError for goals that contradict each other
 */
export function isSearch(options: CompressOptions): boolean {
  const [first, second] = goals.filter((goal) => options[goal] !== undefined);
  if (second) throw contradiction(first ?? second, second);
  return first !== undefined && searchGoals.includes(first);
}

/** The error of two options of which there can be one. */
export const contradiction = (first: OptionName | 'recipe', second: OptionName | 'recipe'): TersorError => {
  const flag = (name: OptionName | 'recipe') => (name === 'recipe' ? '--recipe' : flagOf(name));
  return new TersorError(`${flag(first)} and ${flag(second)} contradict each other`, {
    code: 'invalid-option',
    remedy: 'give one of them',
  });
};

/** The options with what the recipe says in the place of everything that they leave open. */
export function withRecipe(options: CompressOptions): CompressOptions {
  if (!options.recipe) return options;
  const { recipe, output } = options.recipe;
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { ...options, format: output, ...(optionsFrom(recipe) as Partial<CompressOptions>), ...given };
}
