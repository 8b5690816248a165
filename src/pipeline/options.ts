import { z } from 'zod';
import type { Portion } from '../checkpoint/stack/stack.js';
import { TersorError } from '../errors.js';
import type { ContextOptions } from './context/context.js';
import type { Runtime } from './formats/runtime.js';
import { type Check, checkOf, checkValues } from './options/check.js';
import { flagOf } from './options/flags.js';
import { optionsFrom, type Recipe, recipeFrom, recipeParts } from './options/recipe.js';
import { type OptionName, type OptionRows, type OptionValue, optionNames, rowOf } from './options/rows.js';
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

const path = { schema: z.string().min(1), wanted: 'a path' };

/** All options: those of the table, called by their flags, and those that have no row there. */
const checks: Readonly<Record<string, Check>> = {
  model: { ...path, required: true },
  output: { ...path, required: true },
  recipe: { schema: z.looseObject({ recipe: z.looseObject({}) }), wanted: 'what readRecipe returns' },
  resume: { schema: z.boolean(), wanted: 'true or false' },
  ...Object.fromEntries(
    optionNames.map((name) => [name, { ...checkOf(rowOf(name)), called: flagOf(name) }] as const),
  ),
};

/**
 * Checks the options that a program gives.
 * @returns the options, with bytes in the place of texts such as '14MB'
 * @throws TersorError that names the option when there is none of that name, or its value is none that it can have
 */
export const checkOptions = (options: CompressOptions): CompressOptions => checkValues(options, checks);

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

/** Tokens of a text that `evaluate` and `report` measure on, so that both say the same of the same text. */
export const defaultEvaluationTokens = 20480;

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

/**
 * The options with what the recipe says in the place of everything that they leave open, and the recipe with what they say.
 * @throws TersorError for options that decide on types, which the recipe has for every tensor, or name another format
 */
export function withRecipe(options: CompressOptions): CompressOptions {
  if (!options.recipe) return options;
  const { recipe: written, output } = options.recipe;
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as Partial<CompressOptions>;
  const types = recipeParts.find(({ name, decides }) => decides === 'types' && given[name] !== undefined);
  if (types) throw contradiction(types.name, 'recipe');
  if (given.format && given.format !== output) throw contradiction('format', 'recipe');
  const recipe = { ...applicable(written, given), ...recipeFrom(given) };
  return {
    ...options,
    format: output,
    ...(optionsFrom(recipe) as Partial<CompressOptions>),
    ...given,
    recipe: { ...options.recipe, recipe },
  };
}

/** What a recipe says that still means something: another solver has other options, original inputs other targets. */
function applicable(recipe: Recipe, { solver, calibrateOn }: Partial<CompressOptions>): Recipe {
  const dropped = new Set<string>([
    ...((solver ?? recipe.solver) === recipe.solver ? [] : ['options']),
    ...((calibrateOn ?? recipe.calibrateOn) === recipe.calibrateOn ? [] : ['match']),
  ]);
  // In the recipe's own order, in which it is written into the file.
  return Object.fromEntries(Object.entries(recipe).filter(([key]) => !dropped.has(key))) as unknown as Recipe;
}
