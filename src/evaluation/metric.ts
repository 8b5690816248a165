import type { Architecture } from '../architecture/architecture.js';
import { type Forward, type Hidden, programCache } from '../architecture/forward.js';
import type { Arrays } from '../graph/program.js';
import { required } from '../required.js';
import { pickRows, pool, rowDistances } from './embedding.js';
import { predictor, remember } from './predictor.js';
import { type ScoreOptions, score } from './score.js';

/** Measures how far the outputs of changed models are from the original's, by what the model is for. */
export interface Metric {
  /**
   * One figure for everything that is compared: KL divergences of scored positions in nats, or one less cosines of texts.
   * @param hidden what comes out of the last block for `texts`
   * @param outside weights outside the blocks
   * @param texts those of the metric or the first of them, in the same order
   */
  distances(hidden: readonly Hidden[], outside: Arrays, texts: readonly Int32Array[]): Promise<Float32Array>;
  release(): Promise<void>;
}

/** The original's outputs for the texts that others are evaluated on. */
interface Reference {
  readonly architecture: Architecture;
  readonly forward: Forward;
  readonly texts: readonly Int32Array[];
  readonly hidden: readonly Hidden[];
  readonly outside: Arrays;
}

export const createMetric = (reference: Reference, options: ScoreOptions = {}): Promise<Metric> =>
  metrics[reference.architecture.objective](reference, options);

/** The original's logits are kept up to this size; what is beyond is computed anew each time. */
const rememberedBytes = 2 ** 28;

const metrics: Readonly<
  Record<Architecture['objective'], (reference: Reference, options: ScoreOptions) => Promise<Metric>>
> = {
  async prediction({ architecture, forward, hidden, outside }, options) {
    const reference = remember(predictor(architecture, forward, hidden, outside), rememberedBytes);
    return {
      async distances(changed, table, texts) {
        const actual = predictor(architecture, forward, changed, table);
        const scores = await score(texts, actual, reference, options);
        if (!scores.reference) throw new Error('there is nothing to compare with');
        return scores.reference.divergence;
      },
      release: async () => {},
    };
  },
  async embedding({ architecture, texts: all, hidden }, options) {
    const cache = programCache(options);
    const reference = await pool(cache, architecture, hidden);
    const order = new Map(all.map((text, at) => [text, at]));
    return {
      async distances(changed, _outside, texts) {
        const actual = await pool(cache, architecture, changed);
        const places = texts.map((text) => required(order, text));
        return rowDistances(actual, pickRows(reference, places));
      },
      release: cache.release,
    };
  },
};
