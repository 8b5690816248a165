import type { Architecture } from '../architecture/architecture.js';
import { type Hidden, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { Arrays } from '../graph/program.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Moments } from '../types.js';
import { findSites, type Site } from './sites.js';

/** Gathers second moments of the inputs of a block's linear layers. */
export interface Observer {
  /** Weights that share their input, in forward order. */
  readonly sites: readonly (readonly string[])[];
  /** Moments at the sites with these indices, over all hidden states given; one per index. */
  observe(indices: readonly number[], hidden: readonly Hidden[], weights: Arrays): Promise<Moments[]>;
  release(): Promise<void>;
}

/**
 * H = E[x xᵀ] of any site of a block: the program stops where the site's input is known, so that layers
 * before it may already be compressed while those after it are not needed yet.
 */
export function createObserver(architecture: Architecture, options: RuntimeOptions = {}): Observer {
  const cache = programCache(options);
  const anyBatch = { sequences: 1, length: 1 };
  return {
    sites: findSites(architecture, anyBatch).sites.map(({ weights }) => weights),

    async observe(indices, hidden, weights) {
      let sums: Record<string, Float32Array> = {};
      let tokens = 0;
      for (const { batch, data } of hidden) {
        const program = await cache.get(`${indices} ${batch.sequences} ${batch.length}`, () => {
          const { sites } = findSites(architecture, batch);
          return Object.fromEntries(indices.map((index) => [`gram${index}`, gram(sites[index], index)]));
        });
        const start = (name: string) => new Float32Array((program.inputs[name]?.[0] ?? 0) ** 2);
        const previous = indices.map((index) => [
          `sum${index}`,
          sums[`gram${index}`] ?? start(`sum${index}`),
        ]);
        sums = await program.run({ ...weights, ...Object.fromEntries(previous), hidden: data });
        tokens += batch.sequences * batch.length;
      }
      return indices.map((index) => {
        const data = sums[`gram${index}`] ?? new Float32Array();
        const size = Math.sqrt(data.length);
        // One division per entry of H, not per weight and token.
        for (let at = 0; at < data.length; at++) data[at] = (data[at] ?? 0) / tokens;
        return { gram: { rows: size, cols: size, data }, tokens };
      });
    },

    release: cache.release,
  };
}

function gram(site: Site | undefined, index: number) {
  if (!site) throw new Error(`the block has no site ${index}`);
  const width = site.input.shape[1] ?? 0;
  return g.moment(site.input, site.input, g.input(`sum${index}`, [width, width]));
}
