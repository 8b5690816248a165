import type { Model } from '../../architecture/model.js';
import type { Portion } from '../../checkpoint/stack/stack.js';
import { compare } from '../../evaluation/compare.js';
import { embed } from '../../evaluation/embedding.js';
import { compareEmbeddings } from '../../evaluation/embedding-summary.js';
import { predict } from '../../evaluation/predictor.js';
import type { EmbeddingSummary, Summary } from '../../types.js';
import type { Context } from '../context/context.js';
import { checkAborted, type Hooks } from '../context/hooks.js';

/** What a model lost, by what it is for. */
export type Loss = { readonly heldOut: Summary } | { readonly embeddings: EmbeddingSummary };

/** What a model is compared with, and on which text; of a stacked file a part, if that is asked for. */
export interface Measured {
  readonly original: Model;
  readonly sequences: readonly Int32Array[];
  readonly portion?: Portion;
}

/** Compares a model (a path, read back from disk) with the original, both by tersor's own forward pass. */
export async function measure(
  context: Context,
  path: string,
  { original, sequences, portion }: Measured,
  hooks: Hooks,
): Promise<Loss> {
  checkAborted(hooks);
  const settings = { ...context, ...hooks };
  if (original.architecture.objective === 'embedding') {
    const [expected, actual] = [
      await embed(original, sequences, settings),
      await embed(await context.open(path), sequences, settings),
    ];
    return { embeddings: await compareEmbeddings(actual, expected, context) };
  }
  const expected = await predict(original, sequences, settings);
  const actual = await predict(await context.open(path, portion), sequences, settings);
  return { heldOut: await compare(sequences, actual, expected, settings) };
}
