import { programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Progress } from '../types.js';
import type { Predictor } from './predictor.js';

/** Per scored position, of one model or of a model against a reference. */
export interface Scores {
  /** −log p(next token) of the model. */
  readonly loss: Float32Array;
  readonly reference?: {
    readonly loss: Float32Array;
    /** KL divergence of the model's next-token distribution from the reference's, in nats. */
    readonly divergence: Float32Array;
    /** 1 where both think the same token the most likely. */
    readonly sameTop: Float32Array;
    /** max over the vocabulary of |log p − log q|. */
    readonly largestShift: Float32Array;
  };
}

// Positions whose full distributions are in memory together: 128 × a vocabulary of 150,000 is 77 MB an array.
const slab = 128;

export interface ScoreOptions extends RuntimeOptions {
  /** Share of every sequence that is context only, in front of what is scored. */
  readonly unscored?: number;
}

/**
 * Scores next-token predictions as llama.cpp's perplexity tool does: the second half of every sequence,
 * so that each scored position has seen at least half a context.
 */
export async function score(
  sequences: readonly Int32Array[],
  model: Predictor,
  reference?: Predictor,
  options: ScoreOptions & { readonly progress?: Progress } = {},
): Promise<Scores> {
  const cache = programCache(options);
  const columns = new Map<string, Float32Array[]>();
  const { unscored = 1 / 2 } = options;
  for (const [index, tokens] of sequences.entries()) {
    options.progress?.('score', index, sequences.length);
    const last = tokens.length - 1;
    for (let from = Math.floor(tokens.length * unscored); from < last; from += slab) {
      const to = Math.min(last, from + slab);
      const program = await cache.get(`${to - from} ${reference !== undefined}`, () =>
        scoring(to - from, model.vocabulary, reference !== undefined),
      );
      const results = await program.run({
        logits: await model.logits(index, from, to),
        ...(reference ? { reference: await reference.logits(index, from, to) } : {}),
        labels: BigInt64Array.from(tokens.subarray(from + 1, to + 1), BigInt),
      });
      for (const [name, values] of Object.entries(results)) {
        const parts = columns.get(name) ?? [];
        columns.set(name, parts);
        parts.push(values);
      }
    }
  }
  options.progress?.('score', sequences.length, sequences.length);
  await cache.release();
  const column = (name: string) => concatenate(columns.get(name) ?? []);
  return {
    loss: column('loss'),
    ...(reference && {
      reference: {
        loss: column('referenceLoss'),
        divergence: column('divergence'),
        sameTop: column('sameTop'),
        largestShift: column('largestShift'),
      },
    }),
  };
}

function scoring(positions: number, vocabulary: number, compared: boolean) {
  const logits = g.input('logits', [positions, vocabulary]);
  const labels = g.input('labels', [positions, 1], 'i64');
  const q = g.logSoftmax(logits);
  const loss = g.neg(g.pick(q, labels));
  if (!compared) return { loss };
  const reference = g.input('reference', [positions, vocabulary]);
  const p = g.logSoftmax(reference);
  const shift = g.sub(p, q);
  return {
    loss,
    referenceLoss: g.neg(g.pick(p, labels)),
    divergence: g.sum(g.mul(g.exp(p), shift), -1),
    sameTop: g.toFloat(g.equal(g.argmax(logits), g.argmax(reference))),
    largestShift: g.max(g.abs(shift), -1),
  };
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
