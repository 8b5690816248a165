import { createForward, programCache } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import * as g from '../graph/build.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Progress } from '../types.js';

export interface ContinuationOptions extends RuntimeOptions {
  /** New tokens at most. */
  readonly count: number;
  /** Ends the text. */
  readonly end?: number;
  /**
   * A guess at what follows these tokens. A good one saves passes through the model; it never changes the result.
   */
  readonly draft?: (tokens: readonly number[]) => Promise<readonly number[]>;
  readonly progress?: Progress;
}

/** Sequences are padded to multiples of this, so that one compiled program serves many lengths. */
const padding = 64;
/** Tokens of a draft that are checked in one pass. */
const longestGuess = 31;

/**
 * Continues a text with the likeliest token each time, by tersor's own forward pass. Each pass streams the whole
 * model, so that a draft is checked in one pass: all its tokens that the model itself would have taken are kept, and
 * the first that it would not is replaced by the model's (Leviathan et al., 2023, "Fast inference from transformers
 * via speculative decoding", for greedy choices).
 * @param prompt tokens with BOS where the model wants it
 * @returns the new tokens, without `end`
 */
export async function continueGreedily(
  model: Model,
  prompt: readonly number[],
  options: ContinuationOptions,
): Promise<number[]> {
  const { architecture } = model;
  const { layers, hidden: width, vocabulary, context } = architecture;
  const { count, end, draft, progress } = options;
  const forward = createForward(architecture, options);
  const choices = programCache(options);
  const outside = await model.readBlock(undefined);
  const limit = Math.min(prompt.length + count, context);
  const window = Math.min(longestGuess + 1, context);

  /** The likeliest tokens behind the last position of `tokens` and behind each of the guess. */
  const likeliest = async (tokens: readonly number[], guess: readonly number[]): Promise<Float32Array> => {
    const from = tokens.length - 1;
    // What comes behind a position does not change what a causal model says there.
    const length = Math.min(context, Math.ceil((from + window) / padding) * padding);
    const padded = new Int32Array(length);
    padded.set([...tokens, ...guess]);
    let hidden = await forward.embed([padded], outside);
    for (let block = 0; block < layers; block++) {
      hidden = await forward.block(block, hidden, await model.readBlock(block));
    }
    const first = Math.min(from, length - window);
    const logits = await forward.logits(
      hidden.data.subarray(first * width, (first + window) * width),
      outside,
    );
    const program = await choices.get('', () => ({
      y: g.toFloat(g.argmax(g.input('logits', [window, vocabulary]))),
    }));
    const { y = new Float32Array() } = await program.run({ logits });
    return y.subarray(from - first, from - first + guess.length + 1);
  };

  const tokens = [...prompt];
  try {
    while (tokens.length < limit) {
      progress?.('text', tokens.length - prompt.length, count);
      const room = Math.min(longestGuess, limit - tokens.length - 1);
      const guess = draft ? (await draft(tokens)).slice(0, room) : [];
      const found = await likeliest(tokens, guess);
      for (const [index, token] of found.entries()) {
        if (token === end) return tokens.slice(prompt.length);
        tokens.push(token);
        if (token !== guess[index]) break;
      }
    }
    return tokens.slice(prompt.length);
  } finally {
    progress?.('text', count, count);
    await forward.release();
    await choices.release();
  }
}
