import { TersorError } from '../../errors.js';
import { attributeOf, flagOf } from './flags.js';
import { optionNames } from './rows.js';

const nameOfFlag = new Map<string, string>(optionNames.map((name) => [flagOf(name), name]));

/** A message that speaks of flags, in the words of the programming interface: `--max-divergence` is `maxDivergence`. */
export const inOptionNames = (message: string): string =>
  message.replace(/(?<![\w-])--[a-z][a-z-]*/g, (flag) => `\`${nameOfFlag.get(flag) ?? attributeOf(flag)}\``);

/** Has errors of a job speak of options in place of flags. */
export async function withOptionNames<T>(job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    throw withOptionNamesIn(error);
  }
}

/** An error that speaks of options in place of flags. */
export function withOptionNamesIn(error: unknown): unknown {
  if (!(error instanceof TersorError)) return error;
  const { problem, code, file, tensor, remedy } = error;
  const [said, advice] = [inOptionNames(problem), remedy && inOptionNames(remedy)];
  if (said === problem && advice === remedy) return error;
  return new TersorError(said, { code, file, tensor, remedy: advice, cause: error });
}
