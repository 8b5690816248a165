import { createHash } from 'node:crypto';
import { createForward, type Hidden } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import type { Arrays } from '../graph/program.js';
import type { Divergence } from '../types.js';
import { byLength } from './embedding.js';
import { createMetric } from './metric.js';
import type { ScoreOptions } from './score.js';
import { distribution } from './summary.js';

/** A weight to put in the place of the original's. */
export interface Probe {
  readonly role: string;
  readonly weight: Float32Array;
}

/** Measures by how much changed models differ from the original's predictions, or embeddings, of texts. */
export interface DivergenceEvaluator {
  /** Hash of what the original's outputs are and what they are compared by: another model or text has another one. */
  readonly fingerprint: string;
  /** Divergence of a model of the same architecture, on about so many tokens from the beginning of the text. */
  model(changed: Pick<Model, 'readBlock'>, tokens?: number): Promise<Divergence>;
  /** The same at every scored position (of an encoder: for every text): two models can be compared one by one. */
  positions(changed: Pick<Model, 'readBlock'>, tokens?: number): Promise<Float32Array>;
  /** Mean divergence, nats per token, of the original with one weight outside its blocks replaced. */
  outside(probe: Probe): Promise<number>;
  /**
   * The same for each of several weights of a block, given the block's own. Must be called for the blocks in their
   * order, once each: the hidden states move on with it. What comes before the block was computed once for all
   * probes; behind it each block's weights are read once for all probes of the block.
   */
  block(block: number, weights: Arrays, probes: readonly Probe[]): Promise<number[]>;
  release(): Promise<void>;
}

export interface DivergenceEvaluatorOptions extends ScoreOptions {
  /** Single weights are evaluated on about so many tokens from the beginning of the text. */
  readonly probeTokens?: number;
}

export async function createDivergenceEvaluator(
  original: Model,
  sequences: readonly Int32Array[],
  { probeTokens = Infinity, ...options }: DivergenceEvaluatorOptions = {},
): Promise<DivergenceEvaluator> {
  const { architecture } = original;
  const forward = createForward(architecture, options);
  const outside = await original.readBlock(undefined);
  const first = (tokens: number) => {
    let left = tokens;
    return byLength(
      sequences.filter((sequence, at) => {
        left -= sequence.length;
        return at === 0 || left >= -sequence.length / 2;
      }),
    );
  };
  const all = first(Infinity);
  const probed = first(probeTokens);
  let entrance = await forward.embedAll(probed, outside);

  /** From the input of a block to the output of the last one, for several variants at once. */
  const run = async (variants: Hidden[][], from: number, { readBlock }: Pick<Model, 'readBlock'>) => {
    let current = variants;
    for (let block = from; block < architecture.layers; block++) {
      const weights = await readBlock(block);
      const next: Hidden[][] = [];
      for (const hidden of current) next.push(await forward.blockAll(block, hidden, weights));
      current = next;
    }
    return current;
  };
  const [last = []] = await run([await forward.embedAll(all, outside)], 0, original);
  const metric = await createMetric({ architecture, forward, texts: all, hidden: last, outside }, options);
  const measure = async (hidden: readonly Hidden[], table: Arrays, texts = probed): Promise<Divergence> =>
    distribution(await metric.distances(hidden, table, texts));
  /** A changed model's outputs of its last block for some texts, and its weights outside the blocks. */
  const pass = async (changed: Pick<Model, 'readBlock'>, texts: readonly Int32Array[]) => {
    const table = await changed.readBlock(undefined);
    const [hidden = []] = await run([await forward.embedAll(texts, table)], 0, changed);
    return { hidden, table };
  };

  const hash = createHash('sha256').update(architecture.pooling ?? '');
  for (const { data } of last) hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));

  return {
    fingerprint: hash.digest('hex'),
    async model(changed, tokens = Infinity) {
      const texts = first(tokens);
      const { hidden, table } = await pass(changed, texts);
      return measure(hidden, table, texts);
    },
    async positions(changed, tokens = Infinity) {
      const texts = first(tokens);
      const { hidden, table } = await pass(changed, texts);
      return metric.distances(hidden, table, texts);
    },
    async outside({ role, weight }) {
      const table = { ...outside, [role]: weight };
      const [hidden = []] = await run([await forward.embedAll(probed, table)], 0, original);
      return (await measure(hidden, table)).mean;
    },
    async block(block, weights, probes) {
      const variants: Hidden[][] = [];
      for (const { role, weight } of probes) {
        variants.push(await forward.blockAll(block, entrance, { ...weights, [role]: weight }));
      }
      entrance = await forward.blockAll(block, entrance, weights);
      const means: number[] = [];
      for (const hidden of await run(variants, block + 1, original)) {
        means.push((await measure(hidden, outside)).mean);
      }
      return means;
    },
    release: async () => {
      await Promise.all([forward.release(), metric.release()]);
    },
  };
}
