import { z } from 'zod';
import { TersorError } from '../errors.js';

/**
 * Checks a configuration against what a family reads of it.
 * @throws TersorError that names the first field that is missing or wrong
 */
export function parseConfig<T>(schema: z.ZodType<T>, config: unknown, file: string): T {
  const result = schema.safeParse(config);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new TersorError(
    `the configuration's ${issue?.path.join('.') || 'contents'}: ${issue?.message.toLowerCase()}`,
    {
      file,
      remedy: 'check that the file belongs to the model and is complete',
    },
  );
}

/** A whole number above zero and small enough to be a dimension of a real model. */
export const dimension = z
  .number()
  .int()
  .positive()
  .max(2 ** 24);

/** A number of blocks: twice as many as llama.cpp allows; a damaged file must not make lists of millions. */
export const blockCount = z.number().int().positive().max(1024);
