import { createContext, Script } from 'node:vm';
import { TersorError } from '../errors.js';

/** Milliseconds for what takes a few on any tokenizer that was not made to harm. */
const limit = 2000;
const script = new Script('work()');

/**
 * Runs what a tokenizer's own definition says. Its regular expressions come from a file and may backtrack for
 * years, or be none at all; a watchdog of the JavaScript engine ends them.
 * @throws TersorError when it takes too long or fails
 */
export function limited<T>(file: string, work: () => T): T {
  try {
    return script.runInContext(createContext({ work }), { timeout: limit }) as T;
  } catch (cause) {
    if (cause instanceof TersorError) throw cause;
    const slow = cause instanceof Error && 'code' in cause && cause.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT';
    throw new TersorError(
      slow
        ? `cutting a short text as its tokenizer says takes longer than ${limit / 1000} s`
        : 'its tokenizer is corrupt or of a kind that is not supported',
      { file, remedy: 'get an intact copy of the tokenizer from a source that you trust', cause },
    );
  }
}
