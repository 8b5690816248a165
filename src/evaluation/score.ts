import { programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import { required } from '../required.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Progress } from '../types.js';
import { distributions } from './distributions.js';
import type { Predictor, Span } from './predictor.js';

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

/** Floats of one model's logits that are compared at a time. */
const comparedFloats = 1 << 22;
/** The same where a model gives all of a position's logits at once, and the other parts of those of many positions. */
const wholeFloats = 1 << 25;
/** Positions whose logits are made in parts, for which a head's rows are read once. */
const mostPositions = 2048;

/** Floats of logits that exist at once, of models whose heads are held or are not. */
export const scoringFloats = (vocabulary: number): number =>
  Math.max(wholeFloats, wholePositions(vocabulary) * vocabulary) + 8 * comparedFloats;

const wholePositions = (vocabulary: number): number => Math.max(1, Math.floor(comparedFloats / vocabulary));

export interface ScoreOptions extends RuntimeOptions {
  /** Share of every sequence that is context only, in front of what is scored. */
  readonly unscored?: number;
  /** Tokens of the vocabulary that are compared at a time, of models that give logits in parts. */
  readonly partTokens?: number;
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
  const { vocabulary } = model;
  const inParts = [model, reference].filter((each) => each?.part).length;
  const most =
    inParts === 0
      ? wholePositions(vocabulary)
      : inParts === (reference ? 2 : 1)
        ? mostPositions
        : Math.min(mostPositions, Math.max(1, Math.floor(wholeFloats / vocabulary)));
  const spans = sequences.map((tokens, sequence) => ({
    sequence,
    from: Math.floor(tokens.length * (options.unscored ?? 1 / 2)),
    to: tokens.length - 1,
  }));
  const total = spans.reduce((sum, { from, to }) => sum + Math.max(0, to - from), 0);
  const column = () => new Float32Array(total);
  const loss = column();
  const compared = reference && {
    loss: column(),
    divergence: column(),
    sameTop: column(),
    largestShift: column(),
  };
  let done = 0;
  for (const slab of slabs(spans, most)) {
    options.progress?.('score', done, total);
    const labels = slab.flatMap(({ sequence, from, to }) => [
      ...required(sequences, sequence).subarray(from + 1, to + 1),
    ]);
    const rows = labels.length;
    const width =
      inParts === 0 ? vocabulary : (options.partTokens ?? Math.max(1, Math.floor(comparedFloats / rows)));
    const actual = await logitsOf(model, slab);
    const expected = reference && (await logitsOf(reference, slab));
    const found = distributions(labels);
    for (let from = 0; from < vocabulary; from += width) {
      const to = Math.min(vocabulary, from + width);
      const logits = await actual(from, to);
      const others = await expected?.(from, to);
      const program = await cache.get(`${rows} ${to - from}`, () =>
        statistics(rows, to - from, reference !== undefined),
      );
      const results = await program.run({ logits, ...(others ? { reference: others } : {}) });
      found.add(from, { logits, reference: others }, results);
    }
    loss.set(found.loss(), done);
    if (compared) {
      const values = found.compared();
      compared.loss.set(values.loss, done);
      compared.divergence.set(values.divergence, done);
      compared.sameTop.set(values.sameTop, done);
      compared.largestShift.set(values.largestShift, done);
    }
    done += rows;
  }
  options.progress?.('score', total, total);
  await cache.release();
  return { loss, ...(compared && { reference: compared }) };
}

/** Cuts spans so that a slab has at most so many positions. */
function* slabs(spans: readonly Span[], most: number): Generator<Span[]> {
  let slab: Span[] = [];
  let room = most;
  for (const { sequence, from, to } of spans)
    for (let at = from; at < to; ) {
      const end = Math.min(to, at + room);
      slab.push({ sequence, from: at, to: end });
      room -= end - at;
      at = end;
      if (room > 0) continue;
      yield slab;
      [slab, room] = [[], most];
    }
  if (slab.length > 0) yield slab;
}

/** What gives logits for the tokens [from, to) of the vocabulary at all positions of a slab, positions × tokens. */
async function logitsOf({ vocabulary, part, logits }: Predictor, slab: readonly Span[]) {
  if (part) return (from: number, to: number) => part(slab, from, to);
  const rows = slab.reduce((sum, { from, to }) => sum + to - from, 0);
  const all = new Float32Array(rows * vocabulary);
  let filled = 0;
  for (const { sequence, from, to } of slab) {
    all.set(await logits(sequence, from, to), filled);
    filled += (to - from) * vocabulary;
  }
  return async (from: number, to: number) => {
    const width = to - from;
    if (width === vocabulary) return all;
    const values = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++)
      values.set(all.subarray(row * vocabulary + from, row * vocabulary + to), row * width);
    return values;
  };
}

/** What ./distributions.ts needs of some tokens' logits, per position. */
function statistics(positions: number, tokens: number, compared: boolean) {
  const q = g.input('logits', [positions, tokens]);
  const most = g.max(q, -1);
  const own = { most, sum: g.sum(g.exp(g.sub(q, most)), -1), top: g.toFloat(g.argmax(q)) };
  if (!compared) return own;
  const p = g.input('reference', [positions, tokens]);
  const referenceMost = g.max(p, -1);
  const powers = g.exp(g.sub(p, referenceMost));
  const difference = g.sub(p, q);
  return {
    ...own,
    referenceMost,
    referenceSum: g.sum(powers, -1),
    referenceTop: g.toFloat(g.argmax(p)),
    weighted: g.sum(g.mul(powers, difference), -1),
    highest: g.max(difference, -1),
    lowest: g.neg(g.max(g.neg(difference), -1)),
  };
}
