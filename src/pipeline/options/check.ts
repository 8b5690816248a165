import type { z } from 'zod';
import { TersorError } from '../../errors.js';
import { nearest } from '../../method.js';
import { type Reading, readBytes } from './bytes.js';
import { type OptionRow, wanted } from './row.js';

/** How a value that a program gives is checked. */
export interface Check {
  readonly schema: z.ZodType;
  /** What it takes, after “give”. */
  readonly wanted: string;
  /** What is called in messages, where that is not the option's own name: a flag. */
  readonly called?: string;
  /** Reads a text in the place of the value. */
  readonly read?: (text: string) => Reading<unknown>;
  readonly required?: true;
}

/** The check of a row of the table of options. */
export const checkOf = (row: OptionRow): Check => ({
  schema: row.schema,
  wanted: wanted(row),
  ...(row.kind === 'size' ? { read: readBytes } : {}),
});

/**
 * Checks an object of options by a table that has all that there are.
 * @param what one of them is called in messages: `option`
 * @returns the options, with what texts say in the place of these where an option reads texts
 * @throws TersorError that names the option when there is none of that name, it is missing, or its value is none that it
 *   can have
 */
export function checkValues<T extends object>(
  options: T,
  checks: Readonly<Record<string, Check>>,
  what = 'option',
): T {
  if (typeof options !== 'object' || options === null)
    throw new TersorError(`${what}s cannot be ${shown(options)}`, {
      code: 'invalid-option',
      remedy: 'give them as an object',
    });
  const names = Object.keys(checks);
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  for (const [name] of given) {
    if (Object.hasOwn(checks, name)) continue;
    const meant = nearest(name, names);
    throw new TersorError(`there is no ${what} ${name}`, {
      code: 'invalid-option',
      remedy: `${meant ? `did you mean ${meant}? ` : ''}use one of ${names.join(', ')}`,
    });
  }
  for (const [name, { required, wanted, called = name }] of Object.entries(checks)) {
    if (!required || given.some(([each]) => each === name)) continue;
    throw new TersorError(`${called} is missing`, { code: 'invalid-option', remedy: `give ${wanted}` });
  }
  const read = given.map(([name, value]) => [name, checked(name, value, checks[name] as Check)]);
  return { ...options, ...Object.fromEntries(read) };
}

function checked(name: string, value: unknown, { schema, wanted, called = name, read }: Check): unknown {
  const reading = read && typeof value === 'string' ? read(value) : { value };
  const refuse = (remedy: string, cause?: unknown) =>
    new TersorError(`${called} cannot be ${shown(value)}`, { code: 'invalid-option', remedy, cause });
  if ('advice' in reading) throw refuse(reading.advice);
  const result = schema.safeParse(reading.value);
  if (result.success) return reading.value;
  throw refuse(`give ${wanted}`, result.error);
}

/** A value in a message. */
function shown(value: unknown): string {
  if (typeof value === 'number') return String(value); // JSON has no NaN
  const text = JSON.stringify(value) ?? typeof value;
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
