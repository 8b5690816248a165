import { z } from 'zod';

// One row describes an option everywhere: its type, its check, its flag and help, its part in recipes and cache keys.

/** How the command line reads a value; src/cli/arguments.ts has a parser for each. */
export type OptionKind =
  | 'text'
  | 'word'
  | 'words'
  | 'choice'
  | 'count'
  | 'seed'
  | 'number'
  | 'size'
  | 'settings'
  | 'overrides'
  | 'switch';

/** The sections of the help, in their order. */
export const optionGroups = [
  'What to do:',
  'How small (one of these):',
  'Types of single tensors:',
  'The search for types:',
  'Rounding:',
  'Calibration:',
  'Options:',
] as const;

/** What a part of a recipe decides on. */
export type Decides =
  /** The codes of a tensor of a given type: part of the key of solved tensors. */
  | 'solution'
  /** The types of tensors, which keys have by themselves. */
  | 'types'
  /** The calibration text, whose tokens keys have by themselves. */
  | 'text'
  /** How the output stores or runs the codes. */
  | 'output';

/** An option as a part of the recipe that is written into a file. */
export interface RecipePart {
  readonly decides: Decides;
  /** By default the option's own name. */
  readonly key?: string;
  /** Every recipe has it. */
  readonly required?: true;
}

export interface OptionDetails {
  readonly group: (typeof optionGroups)[number];
  readonly help: string;
  /** By default the option's name as --kebab-case. */
  readonly flag?: string;
  /** What stands for the value in the help. */
  readonly placeholder?: string;
  readonly recipe?: RecipePart;
  /** Output formats that it applies to, where it does not to all. */
  readonly formats?: { readonly only: readonly string[] } | { readonly not: readonly string[] };
  /** Earlier flags, still read, with what their values are called now. */
  readonly aliases?: readonly {
    readonly flag: string;
    readonly values?: Readonly<Record<string, string>>;
  }[];
}

export interface OptionRow<T = unknown> extends OptionDetails {
  readonly kind: OptionKind;
  readonly schema: z.ZodType<T>;
  /** Of choices; of numbers, what may stand in their place. */
  readonly words?: readonly string[];
  /** Of numbers. */
  readonly range?: readonly [from: number, to: number];
}

/** What an option takes, for messages: `give …`. */
export function wanted({ kind, words = [], range }: OptionRow): string {
  const number = range && `a number from ${range[0]} to ${range[1]}`;
  switch (kind) {
    case 'choice':
      return words.join(' or ');
    case 'number':
      return [...words, number].filter(Boolean).join(' or ');
    case 'count':
      return 'a whole number from 1 on';
    case 'seed':
      return 'a whole number from 0 to 4294967295';
    case 'size':
      return 'a whole number of bytes, 1 or more';
    case 'switch':
      return 'true or false';
    case 'words':
      return 'a list of names';
    case 'settings':
      return 'an object of settings by their names';
    case 'overrides':
      return 'a list of { pattern, type }, where the pattern is a RegExp';
    case 'text':
    case 'word':
      return 'a text that is not empty';
  }
}

const row =
  <T>(kind: OptionKind, schema: z.ZodType<T>) =>
  <const D extends OptionDetails>(details: D): OptionRow<T> & D => ({ ...details, kind, schema });

/** A path or any other text. */
export const text = row('text', z.string().min(1));
/** A name in lower case. */
export const word = row('word', z.string().min(1));
export const words = row('words', z.array(z.string()).readonly());
/** A whole number from 1 on. */
export const count = row('count', z.int().positive());
export const seed = row('seed', z.int().min(0).max(0xffffffff));
/** Bytes. */
export const size = row('size', z.int().positive());
export const settings = row('settings', z.record(z.string(), z.unknown()).readonly());
export const switched = row('switch', z.boolean());
export const overrides = row('overrides', z.array(z.custom<Override>(isOverride)).readonly());

/** Gives the tensors whose name (GGUF's or Hugging Face's) matches a type of their own. */
export interface Override {
  readonly pattern: RegExp;
  readonly type: string;
}

function isOverride(value: unknown): boolean {
  const { pattern, type } = (value ?? {}) as Partial<Override>;
  return pattern instanceof RegExp && typeof type === 'string';
}

export const choice = <const W extends readonly [string, ...string[]], const D extends OptionDetails>(
  names: W,
  details: D,
): OptionRow<W[number]> & D => ({ ...details, kind: 'choice', words: names, schema: z.enum(names) });

/** One of a few numbers. */
export const numberChoice = <const N extends readonly number[], const D extends OptionDetails>(
  numbers: N,
  details: D,
): OptionRow<N[number]> & D => ({
  ...details,
  kind: 'choice',
  words: numbers.map(String),
  schema: z.custom<N[number]>((value) => numbers.includes(value as number), {
    error: `expected ${numbers.join(' or ')}`,
  }),
});

/** A number in [from, to], or one of a few words in its place. */
export const numberOr = <const W extends readonly string[], const D extends OptionDetails>(
  names: W,
  [from, to]: readonly [from: number, to: number],
  details: D,
): OptionRow<W[number] | number> & D => ({
  ...details,
  kind: 'number',
  words: names,
  range: [from, to],
  schema: z.custom<W[number] | number>(
    (value) => names.includes(value as string) || (typeof value === 'number' && value >= from && value <= to),
    { error: `expected ${names.join(', ')} or a number from ${from} to ${to}` },
  ),
});

/** A number in [from, to]. */
export const number = <const D extends OptionDetails>(
  from: number,
  to: number,
  details: D,
): OptionRow<number> & D => ({
  ...details,
  kind: 'number',
  range: [from, to],
  schema: z.number().min(from).max(to),
});
