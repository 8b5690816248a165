import type { Architecture } from '../architecture/architecture.js';
import { type Hidden, programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { Arrays } from '../graph/program.js';
import type { Value } from '../graph/value.js';
import { required } from '../required.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix } from '../types.js';
import { findSites } from './segments.js';

/** What passes through a block. */
export interface Observation {
  /** Inputs of the linear layers with these roles, tokens × width. */
  readonly sites: readonly { readonly roles: readonly string[]; readonly inputs: Matrix }[];
  /** Cosine between what enters the block and what leaves it, mean over tokens. */
  readonly cosine: number;
}

export interface Observer {
  /** Looks at one batch on its way through a block. */
  observe(block: number, hidden: Hidden, weights: Arrays): Promise<Observation>;
  release(): Promise<void>;
}

const matrixOf = (data: Float32Array, cols: number): Matrix => ({ rows: data.length / cols, cols, data });

export function createObserver(architecture: Architecture, options: RuntimeOptions = {}): Observer {
  const cache = programCache(options);
  return {
    async observe(block, { batch, data }, weights) {
      const hidden = g.input('hidden', [batch.sequences * batch.length, architecture.hidden]);
      const output = architecture.block(block, hidden, batch);
      const sites = findSites(output);
      const program = await cache.get(
        `${architecture.kindOf(block)} ${batch.sequences} ${batch.length}`,
        () => ({
          cosines: cosines(hidden, output),
          ...Object.fromEntries(sites.map(([value], index) => [`site ${index}`, value])),
        }),
      );
      const results = await program.run({ ...weights, hidden: data });
      const rows = hidden.shape[0] ?? 0;
      return {
        sites: sites.map(([{ shape }, roles], index) => ({
          roles,
          inputs: matrixOf(required(results, `site ${index}`), shape[1] ?? 0),
        })),
        cosine: required(results, 'cosines').reduce((sum, each) => sum + each, 0) / rows,
      };
    },
    release: cache.release,
  };
}

/** Cosine of each row of one array with the same row of the other. */
export function cosines(x: Value, y: Value): Value {
  const dot = (a: Value, b: Value) => g.sum(g.mul(a, b), -1);
  // Roots before the product: squares of large states times each other leave single precision.
  return g.div(dot(x, y), g.mul(g.sqrt(dot(x, x)), g.sqrt(dot(y, y))));
}
