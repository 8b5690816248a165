import { InvalidArgumentError } from 'commander';
import type { Portion } from '../checkpoint/stack/stack.js';
import { type Reading, readBytes, readPortion } from '../pipeline/options/bytes.js';
import { flagOf } from '../pipeline/options/flags.js';
import type { OptionKind, OptionRow, Override } from '../pipeline/options/row.js';
import type { OptionName } from '../pipeline/options/rows.js';

/** Parsers of option values; what they throw becomes the one line of the error. */

export function positiveInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new InvalidArgumentError('give a whole number above 0.');
  return value;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffffffff) {
    throw new InvalidArgumentError('give a whole number from 0 to 4294967295.');
  }
  return value;
}

/** @returns a parser of numbers in [from, to] */
export function numberBetween(from: number, to: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= from && value <= to)) {
      throw new InvalidArgumentError(`give a number from ${from} to ${to}.`);
    }
    return value;
  };
}

/** REGEX=TYPE, repeatable. The last `=` divides, as types have none. */
export function override(text: string, previous: readonly Override[] = []): Override[] {
  const at = text.lastIndexOf('=');
  if (at < 1 || at === text.length - 1) {
    throw new InvalidArgumentError("give REGEX=TYPE, such as 'ffn_down=q6_k'.");
  }
  try {
    return [...previous, { pattern: new RegExp(text.slice(0, at)), type: text.slice(at + 1).toLowerCase() }];
  } catch (error) {
    throw new InvalidArgumentError(
      error instanceof Error ? `${error.message}.` : 'not a regular expression.',
    );
  }
}

/** KEY=VALUE, repeatable; numbers, true and false become values of their kind, numbers with commas lists. */
export function setting(
  text: string,
  previous: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('give KEY=VALUE, such as damping=0.02.');
  return { ...previous, [text.slice(0, at)]: settingValue(text.slice(at + 1)) };
}

function settingValue(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true';
  const parts = text.split(',').filter((part) => part.trim() !== '');
  const numbers = parts.map(Number);
  if (numbers.length === 0 || numbers.some(Number.isNaN)) return text;
  return text.includes(',') ? numbers : numbers[0];
}

export const typeName = (text: string): string => text.toLowerCase();

/** What a reader makes of a text. */
function accepted<T>(reading: Reading<T>): T {
  if ('advice' in reading) throw new InvalidArgumentError(`${reading.advice}.`);
  return reading.value;
}

/** A number of bytes: 14MB, 3.5 GiB, 13893536. */
export const byteSize = (text: string): number => accepted(readBytes(text));

/** A part of a file: 50% or 1.5MB. */
export const portion = (text: string): Portion => accepted(readPortion(text));

/** Words with commas between them. */
export const list = (text: string): string[] =>
  text
    .toLowerCase()
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');

type Parser = (text: string, previous: unknown) => unknown;

/** What commander reads a value of each kind with; text as it is, and switches, have none. */
const parsers: Readonly<Record<OptionKind, (row: OptionRow, flag: string) => Parser | undefined>> = {
  text: () => undefined,
  switch: () => undefined,
  word: () => typeName,
  words: () => list,
  choice: choiceOf,
  count: () => positiveInteger,
  seed: () => wholeNumber,
  number: numberOf,
  size: () => byteSize,
  settings: () => (text, previous) => setting(text, previous as Readonly<Record<string, unknown>>),
  overrides: () => (text, previous) => override(text, previous as readonly Override[]),
};

/** A number of a range, or a word in its place. */
function numberOf({ words = [], range: [from, to] = [0, 0] }: OptionRow): Parser {
  const number = numberBetween(from, to);
  return (text) => (words.includes(text) ? text : number(text));
}

/** One of a few words, or of a few numbers. */
function choiceOf({ words = [], schema }: OptionRow, flag: string): Parser {
  return (text) => {
    const value = [text, Number(text)].find((each) => schema.safeParse(each).success);
    if (value !== undefined) return value;
    throw new InvalidArgumentError(`${flag} is ${words.join(' or ')}.`);
  };
}

export const parserFor = (name: OptionName, row: OptionRow): Parser | undefined =>
  parsers[row.kind](row, flagOf(name));
