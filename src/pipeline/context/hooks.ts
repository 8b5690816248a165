import type { Progress } from '../../types.js';
import type { ProgressEvent } from './progress.js';

/** How a long job talks to whoever started it. */
export interface JobHooks {
  /** Told what the job is doing, how far it is and how long it will take. */
  readonly progress?: ((event: ProgressEvent) => void) | undefined;
  /** A line that a person should read: a choice made for them, or a limit. */
  readonly warn?: ((line: string) => void) | undefined;
  /**
   * Ends the job: it clears up, so that nothing half-written stays behind, and rejects with the signal's reason. Solved
   * tensors are kept for the next run of the same job.
   */
  readonly signal?: AbortSignal | undefined;
}

/** How the parts of a job talk to it; `withContext` makes events for the caller of what they report. */
export interface Hooks {
  /** Throws the signal's reason when the caller has asked to stop. */
  readonly progress?: Progress;
  readonly warn?: (line: string) => void;
  readonly signal?: AbortSignal;
}

/** Throws the signal's reason when the caller has asked to stop. */
export function checkAborted({ signal }: Hooks): void {
  signal?.throwIfAborted();
}
