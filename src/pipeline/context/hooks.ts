import { TersorError } from '../../errors.js';
import type { Progress } from '../../types.js';

/** How a long job talks to its caller. */
export interface Hooks {
  readonly progress?: Progress;
  /** A line that a person should read: a choice made for them, or a limit. */
  readonly warn?: (line: string) => void;
  /** Ends the job between two steps; nothing half-written stays behind. */
  readonly signal?: AbortSignal;
}

/** @throws TersorError when the caller has asked to stop */
export function checkAborted({ signal }: Hooks): void {
  if (signal?.aborted) throw new TersorError('stopped before the end', { remedy: 'run the command again' });
}
