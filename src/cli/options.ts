import { type Command, Option } from 'commander';
import { mixtureType } from '../pipeline/formats/mixtures.js';
import { renamedSettings } from '../pipeline/options/earlier-names.js';
import { attributeOf, flagOf } from '../pipeline/options/flags.js';
import { optionGroups } from '../pipeline/options/row.js';
import { type OptionName, optionNames, rowOf } from '../pipeline/options/rows.js';
import type { CompressOptions } from '../pipeline/options.js';
import { readRecipe } from '../pipeline/prepare/recipe.js';
import { parserFor } from './arguments.js';

export const modelArgument =
  'Hugging Face directory or hub id, .gguf, .stack, llama2.c .bin, or ONNX directory';

/** What `compress` and `plan` take alike, by the attributes that commander makes of flags. */
export interface PlanFlags extends Readonly<Record<string, unknown>> {
  readonly recipe?: string;
  readonly predict?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

/** Adds options of the table, with help texts of the command's own where it has such. */
export function addOptions(
  command: Command,
  names: readonly OptionName[],
  help: { readonly [Name in OptionName]?: string } = {},
): Command {
  for (const name of names) {
    const row = rowOf(name);
    const value = row.placeholder ? ` <${row.placeholder}>` : '';
    const add = (flag: string, description: string) => {
      const option = new Option(`${flag}${value}`, description);
      const parse = parserFor(name, row);
      return parse ? option.argParser(parse) : option;
    };
    command.addOption(add(flagOf(name), help[name] ?? row.help));
    for (const { flag } of row.aliases ?? [])
      command.addOption(new Option(`--${flag}${value}`, `now ${flagOf(name)}`).hideHelp());
  }
  return command;
}

/** Adds the options that decide what becomes of a model, in the groups of the help. */
export function planOptions(command: Command): Command {
  for (const group of optionGroups) {
    command.optionsGroup(group);
    addOptions(
      command,
      optionNames.filter((name) => rowOf(name).group === group),
    );
  }
  return command
    .option('-v, --verbose', 'a row for every tensor')
    .option('--json', 'print one JSON document');
}

/**
 * The pipeline's options; without an output, those of a GGUF.
 * @param warn told of names from earlier versions, which are still read
 */
export async function compressOptions(
  model: string,
  output: string | undefined,
  flags: PlanFlags,
  warn: (line: string) => void = () => {},
): Promise<CompressOptions> {
  const given: { [Name in OptionName]?: unknown } = {};
  for (const name of optionNames) {
    const value = flags[attributeOf(flagOf(name))] ?? fromAlias(name, flags, warn);
    if (value !== undefined)
      given[name] = rowOf(name).kind === 'settings' ? renamed(name, value, warn) : value;
  }
  for (const name of ['embeddingType', 'fallback'] as const) {
    const mixture = typeof given[name] === 'string' ? mixtureType(given[name]) : undefined;
    if (!mixture) continue;
    warn(describeMixture(name, String(given[name]), mixture));
    given[name] = mixture;
  }
  return {
    model,
    output: output ?? 'model.gguf',
    ...(given as Partial<CompressOptions>),
    ...(flags.recipe ? { recipe: await readRecipe(flags.recipe) } : {}),
  };
}

/** A mixture says what each tensor of a model has, and not what one is to have. */
const describeMixture = (name: OptionName, mixture: string, type: string) =>
  `${mixture.toUpperCase()} is a mixture of llama.cpp, which --type takes; taking ${flagOf(name)} ${type}`;

/** The value of an option that was given under an earlier name. */
function fromAlias(name: OptionName, flags: PlanFlags, warn: (line: string) => void): unknown {
  const row = rowOf(name);
  for (const { flag, values = {} } of row.aliases ?? []) {
    const value = flags[attributeOf(`--${flag}`)];
    if (typeof value !== 'string') continue;
    const now = Object.hasOwn(values, value) ? values[value] : value;
    warn(`--${flag} ${value} is ${flagOf(name)} ${now} now`);
    const parse = parserFor(name, row);
    return parse ? parse(now ?? value, undefined) : now;
  }
  return undefined;
}

const renamed = (name: OptionName, value: unknown, warn: (line: string) => void) =>
  renamedSettings(value as Readonly<Record<string, unknown>>, (before, now) =>
    warn(`${flagOf(name)} ${before} is called ${now} now`),
  );
