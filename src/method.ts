import { z } from 'zod';
import { TersorError } from './errors.js';

/** In the order in which methods are listed. */
export const methodStatuses = ['recommended', 'special', 'experimental'] as const;

/** `special`: for models, types or budgets of some kind; `experimental`: to compare with, or of no known use yet. */
export type MethodStatus = (typeof methodStatuses)[number];

/** What is known of a method's worth. */
export interface Worth {
  readonly status: MethodStatus;
  /** Where it wins, with a figure of docs/results. */
  readonly wins: string;
}

/** A row of one of the tables that `tersor methods`, the checks of options and the docs are made from. */
export interface Method extends Worth {
  readonly name: string;
  /** The row of the catalogue of methods. */
  readonly id: string;
  readonly title: string;
  readonly paper: string;
}

/** A method with options, their defaults and descriptions. */
export interface OptionalMethod extends Method {
  readonly options: z.ZodObject;
}

/** Rows in the order of their status, otherwise as they are. */
export function byStatus<T extends Worth>(rows: readonly T[]): T[] {
  return methodStatuses.flatMap((status) => rows.filter((row) => row.status === status));
}

/** A setting that is worth searching, with its range. */
export type Tunable =
  | { readonly kind: 'real'; readonly low: number; readonly high: number; readonly scale?: 'linear' | 'log' }
  | { readonly kind: 'integer'; readonly low: number; readonly high: number }
  | { readonly kind: 'choice'; readonly values: readonly string[] };

/**
 * The method of this name.
 * @param kind what the table lists, in the singular
 * @throws TersorError that lists the names if there is none
 */
export function findMethod<T extends Method>(methods: readonly T[], name: string, kind: string): T {
  const found = methods.find((method) => method.name === name);
  if (found) return found;
  const meant = nearest(
    name,
    methods.map((method) => method.name),
  );
  throw new TersorError(`there is no ${kind} ${name}`, {
    remedy: `${meant ? `did you mean ${meant}? ` : ''}choose one of ${methods.map((method) => method.name).join(', ')}`,
  });
}

/** Names of the options that a schema takes. */
const optionNames = (schema: z.ZodType): string =>
  (schema instanceof z.ZodObject && Object.keys(schema.shape).join(', ')) || 'none';

/**
 * The options of a method with its defaults filled in.
 * @throws TersorError that names the first option that it does not take
 */
export function parseOptions<T>(
  name: string,
  schema: z.ZodType<T>,
  options: Readonly<Record<string, unknown>> = {},
): T {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  if (issue?.code === 'unrecognized_keys')
    throw new TersorError(`${name} has no option ${issue.keys.join(' and none ')}`, {
      remedy: `see tersor methods --options; ${name} has ${optionNames(schema)}`,
      cause: result.error,
    });
  const place = issue?.path.length ? `option ${issue.path.join('.')} of ${name}` : `the options of ${name}`;
  throw new TersorError(`${place} ${issue ? wantedOf(issue) : 'is not valid'}`, {
    remedy: `see tersor methods --options for what ${name} takes`,
    cause: result.error,
  });
}

/** What a value has to be, by what zod found wrong with it. */
export function wantedOf(issue: z.core.$ZodIssue): string {
  if (/received undefined$/.test(issue.message)) return 'is missing';
  switch (issue.code) {
    case 'too_small':
      return `must be ${issue.inclusive === false ? 'above' : 'at least'} ${issue.minimum}`;
    case 'too_big':
      return `must be ${issue.inclusive === false ? 'below' : 'at most'} ${issue.maximum}`;
    case 'invalid_type':
      return `must be ${kinds[issue.expected] ?? issue.expected}`;
    case 'invalid_value':
      return `must be ${issue.values.join(' or ')}`;
    case 'unrecognized_keys':
      return `must not have ${issue.keys.join(', ')}`;
    case 'not_multiple_of':
      return `must be a multiple of ${issue.divisor}`;
    default:
      return `is not valid (${issue.message.toLowerCase()})`;
  }
}

const kinds: Readonly<Record<string, string>> = {
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  string: 'a text',
  array: 'a list',
  record: 'an object',
  object: 'an object',
};

/**
 * What somebody may have meant by a word that is none of these: the one that fewest insertions, deletions, exchanges of
 * neighbours and changes of letters lead to, if these are few beside its length.
 */
export function nearest(word: string, names: readonly string[]): string | undefined {
  const close = names
    .map((name) => ({
      name,
      // A beginning may be meant for the whole.
      distance: word.length > 1 && name.startsWith(word) ? 1 : editDistance(word, name),
    }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)));
  return close.sort((a, b) => a.distance - b.distance)[0]?.name;
}

/** Optimal string alignment distance. */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + Number(a[i - 1] !== b[j - 1]);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const exchange = swapped ? (before[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, changed, exchange));
    }
    [before, row] = [row, next];
  }
  return row[b.length] ?? 0;
}
