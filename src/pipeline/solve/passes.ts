import type { Architecture } from '../../architecture/architecture.js';
import { createForward, type Forward } from '../../architecture/forward.js';
import type { ActivationCache } from '../../calibration/activation-cache.js';
import { type Calibrator, createCalibrator } from '../../calibration/walk.js';
import type { Context } from '../context/context.js';

/** What takes a text through a model, its time charged to calibration. */
export interface Passes {
  /** Embeds sequences; the states wait in the activation cache, if there is one. */
  readonly embed: Forward['embedAll'];
  readonly calibrator: Calibrator;
  release(): Promise<void>;
}

/** @param cache where activations wait between two parts of a block; the caller's to close */
export function createPasses(context: Context, architecture: Architecture, cache?: ActivationCache): Passes {
  const forward = createForward(architecture, context);
  const calibrator = createCalibrator(architecture, context, cache);
  const timed = <T>(work: () => Promise<T>) => context.stopwatch.time('calibrate', work);
  return {
    embed: (sequences, weights) => timed(() => forward.embedAll(sequences, weights, cache?.keep)),
    calibrator: {
      walk: (...args) => timed(() => calibrator.walk(...args)),
      head: (...args) => timed(() => calibrator.head(...args)),
      release: calibrator.release,
    },
    async release() {
      await Promise.all([forward.release(), calibrator.release()]);
    },
  };
}
