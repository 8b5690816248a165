import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Arrays smaller than this together may wait until the engine sees to them. */
const worthwhile = 1 << 26;

let collect: (() => void) | undefined;

/**
 * Collects garbage, if arrays of that many bytes have just become it. The engine counts what its own heap holds and is in
 * no hurry over arrays outside: of a model with wide layers, gigabytes of weights would wait beside those in use.
 */
export function collectGarbage(bytes: number): void {
  if (bytes < worthwhile) return;
  collect ??= collector();
  collect();
}

/**
 * Has the engine collect garbage in one go when it is due, for processes that do nothing else: what is alive on its heap
 * is small, and what is garbage are arrays outside, so that marking the living bit by bit and on other threads while
 * the work goes on costs far more than the pauses that it avoids.
 */
export function collectInOneGo(): void {
  setFlagsFromString('--no-incremental-marking');
}

/** The engine's own function, which it shows to contexts that are made after this flag is set. */
function collector(): () => void {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
