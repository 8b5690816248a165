import { z } from 'zod';
import type { JobHooks } from '../context/hooks.js';
import { runtimes } from '../formats/runtime.js';
import type { GenerateOptions } from '../generate/options.js';
import type { ImatrixOptions } from '../imatrix.js';
import type { InspectOptions } from '../inspect.js';
import type { EvaluateOptions } from '../options.js';
import type { ReportOptions } from '../report/options.js';
import { readPortion } from './bytes.js';
import { type Check, checkOf, checkValues } from './check.js';
import { optionRows } from './rows.js';

// What the functions besides compress and plan can be told; for command lines, commander checks.

/** One check for every option, and no other. */
type Checks<Options> = { readonly [Name in keyof Required<Options>]: Check };

const words = (what: string): Check => ({ schema: z.string().min(1), wanted: what });
const file = words('the path of a file');
const text: Check = { schema: z.string(), wanted: 'a text' };
const model: Check = { ...words("a model's path, or its id on the hub"), required: true };
const original = words("the original's path, or its id on the hub");
const between = (from: number, to: number): Check => ({
  schema: z.number().min(from).max(to),
  wanted: `a number from ${from} to ${to}`,
});
const oneOf = (names: readonly string[]): Check => ({ schema: z.enum(names), wanted: names.join(' or ') });
const portion: Check = {
  schema: z.union([
    z.strictObject({ bytes: z.int().positive() }),
    z.strictObject({ share: z.number().gt(0).max(1) }),
  ]),
  wanted: "'50%', '1.5MB', { share } from 0 to 1, or { bytes }",
  read: readPortion,
};
const run: Check = {
  schema: z.looseObject({ options: z.looseObject({}), result: z.looseObject({}) }),
  wanted: '{ options, result } of a compression',
};

const context = {
  threads: checkOf(optionRows.threads),
  cacheFolder: checkOf(optionRows.cacheFolder),
  tokenizer: checkOf(optionRows.tokenizer),
};
const length = checkOf(optionRows.context);
const tokens = checkOf(optionRows.tokens);
const seed = checkOf(optionRows.seed);

const evaluate: Checks<EvaluateOptions> = {
  model,
  against: original,
  text: { ...file, required: true },
  context: length,
  tokens,
  runtime: oneOf(['tersor', ...Object.keys(runtimes)]),
  portion,
  ...context,
};

/** The options of each function of the package that works with models. */
export const jobs = {
  evaluate,
  evaluateEncoder: { ...evaluate, against: { ...original, required: true } },
  inspect: { model, ...context } satisfies Checks<InspectOptions>,
  generate: {
    model,
    prompt: { ...text, required: true },
    portion,
    chat: checkOf(optionRows.predict),
    system: text,
    maxTokens: tokens,
    context: length,
    temperature: between(0, 100),
    topP: between(0, 1),
    topK: tokens,
    seed,
    ...context,
  } satisfies Checks<GenerateOptions>,
  imatrix: {
    model,
    output: { ...file, required: true },
    calibration: checkOf(optionRows.calibration),
    tokens,
    context: length,
    seed,
    ...context,
  } satisfies Checks<ImatrixOptions>,
  report: {
    model,
    output: file,
    against: original,
    text: file,
    tokens,
    prompt: text,
    store: checkOf(optionRows.store),
    run,
    ...context,
  } satisfies Checks<ReportOptions>,
} as const;

const hooks: Checks<JobHooks> = {
  progress: { schema: z.custom((value) => typeof value === 'function'), wanted: 'a function' },
  warn: { schema: z.custom((value) => typeof value === 'function'), wanted: 'a function' },
  signal: { schema: z.instanceof(AbortSignal), wanted: 'an AbortSignal' },
};

/** @throws TersorError that names the hook when there is none of that name, or it is of another kind */
export const checkHooks = (given: JobHooks): JobHooks => checkValues(given, hooks, 'hook');

/**
 * Checks what a program gives a function.
 * @returns the options, with what texts such as '50%' say in their place
 * @throws TersorError that names the option when there is none of that name, it is missing, or its value is none that it
 *   can have
 */
export function checkJob<T extends object>(job: keyof typeof jobs, options: object, given: JobHooks): T {
  checkHooks(given);
  return checkValues(options, jobs[job]) as T;
}
