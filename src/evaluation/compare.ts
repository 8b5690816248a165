import type { RuntimeOptions } from '../runtime/session.js';
import type { Progress, Summary } from '../types.js';
import type { Predictor } from './predictor.js';
import { score } from './score.js';
import { summarise } from './summary.js';

/** Scores a model on sequences, against a reference if there is one, and lets go of both. */
export async function compare(
  sequences: readonly Int32Array[],
  model: Predictor,
  reference: Predictor | undefined,
  options: RuntimeOptions & { readonly progress?: Progress } = {},
): Promise<Summary> {
  try {
    return summarise(await score(sequences, model, reference, options));
  } finally {
    await model.release();
    await reference?.release();
  }
}
