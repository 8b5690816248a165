import type { Predictor } from '../../src/evaluation/predictor.js';
import { score } from '../../src/evaluation/score.js';
import { summarise } from '../../src/evaluation/summary.js';
import type { Decoder } from './decoder.js';

/** Tokens of the text that models are compared on; the second half is scored. */
const scoredText = 160;

/** Compares models with the original on one text. */
export interface Evaluator {
  measure(decoder: Decoder): Promise<{ readonly divergence: number; readonly sameTop: number }>;
}

export async function createEvaluator(original: Decoder, text: readonly number[]): Promise<Evaluator> {
  const tokens = text.slice(0, scoredText);
  const read = async (decoder: Decoder): Promise<Predictor> => {
    decoder.restart();
    const all = (await decoder.next(tokens)).slice();
    decoder.restart();
    const { vocabulary } = decoder;
    return {
      vocabulary,
      logits: async (_sequence, from, to) => all.slice(from * vocabulary, to * vocabulary),
      release: () => Promise.resolve(),
    };
  };
  const reference = await read(original);
  return {
    async measure(decoder) {
      const scores = await score([Int32Array.from(tokens)], await read(decoder), reference);
      const { divergence, sameTop } = summarise(scores);
      return { divergence: divergence?.mean ?? Number.NaN, sameTop: sameTop ?? Number.NaN };
    },
  };
}
