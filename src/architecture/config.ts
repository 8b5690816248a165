import { z } from 'zod';
import { TersorError } from '../errors.js';
import { wantedOf } from '../method.js';

/**
 * Checks a configuration against what a family reads of it.
 * @throws TersorError that names the first field that is missing or wrong
 */
export function parseConfig<T>(schema: z.ZodType<T>, config: unknown, file: string): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw wrongConfig(
    `${issue?.path.join('.') || 'contents'} ${issue ? wantedOf(issue) : 'are not valid'}`,
    file,
  );
}

/** @param problem what is wrong, after “the configuration's” */
export const wrongConfig = (problem: string, file: string): TersorError =>
  new TersorError(`the configuration's ${problem}`, {
    file,
    remedy: 'check that the file belongs to the model and is complete',
  });

/**
 * How many of something each of so many shares has.
 * @throws TersorError when they cannot be shared evenly
 */
export function shared(count: number, of: string, shares: number, among: string, file: string): number {
  if (count % shares === 0) return count / shares;
  throw wrongConfig(`${count} ${of} cannot be shared by ${shares} ${among}`, file);
}

/** A whole number above zero and small enough to be a dimension of a real model. */
export const dimension = z
  .number()
  .int()
  .positive()
  .max(2 ** 24);

/** A number of blocks: twice as many as llama.cpp allows; a corrupt file must not make lists of millions. */
export const blockCount = z.number().int().positive().max(1024);
