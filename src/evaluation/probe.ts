import { createForward, type Hidden } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { type Predictor, predictor, remember } from './predictor.js';
import { score } from './score.js';
import { summarise } from './summary.js';

/** A weight to put in the place of the original's. */
export interface Probe {
  readonly role: string;
  readonly weight: Float32Array;
}

/** Measures what changes of single weights do to a model's predictions. */
export interface Prober {
  /** Mean divergence (nats per token) of the model with one weight outside its blocks replaced. */
  outside(probe: Probe): Promise<number>;
  /**
   * The same for each of several weights of a block, given the block's own. Must be called for the blocks in their
   * order, once each: the hidden states move on with it.
   */
  block(
    block: number,
    weights: Readonly<Record<string, Float32Array>>,
    probes: readonly Probe[],
  ): Promise<number[]>;
  release(): Promise<void>;
}

/**
 * Streams probes through the rest of the model from the block they are in: what comes before it is computed once for
 * all of them, and behind it each block's weights are read once for all probes of a block.
 */
export async function createProber(
  model: Model,
  sequences: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<Prober> {
  const { architecture } = model;
  const forward = createForward(architecture, options);
  const outside = await model.readBlock(undefined);
  let entrance = await forward.embedAll(sequences, outside);

  /** From the input of a block to the output of the last one, for several texts at once. */
  const run = async (states: Hidden[][], from: number): Promise<Hidden[][]> => {
    let current = states;
    for (let block = from; block < architecture.layers; block++) {
      const weights = await model.readBlock(block);
      const next: Hidden[][] = [];
      for (const hidden of current) next.push(await forward.blockAll(hidden, weights));
      current = next;
    }
    return current;
  };
  const [last = []] = await run([entrance], 0);
  const reference = remember(predictor(architecture, forward, last, outside));
  const divergence = async (actual: Predictor) => {
    const summary = summarise(await score(sequences, actual, reference, options));
    return summary.divergence?.mean ?? Number.NaN;
  };

  return {
    async outside({ role, weight }) {
      const changed = { ...outside, [role]: weight };
      const [hidden = []] = await run([await forward.embedAll(sequences, changed)], 0);
      return divergence(predictor(architecture, forward, hidden, changed));
    },
    async block(block, weights, probes) {
      const variants: Hidden[][] = [];
      for (const { role, weight } of probes) {
        variants.push(await forward.blockAll(entrance, { ...weights, [role]: weight }));
      }
      entrance = await forward.blockAll(entrance, weights);
      const divergences: number[] = [];
      for (const hidden of await run(variants, block + 1)) {
        divergences.push(await divergence(predictor(architecture, forward, hidden, outside)));
      }
      return divergences;
    },
    release: forward.release,
  };
}
