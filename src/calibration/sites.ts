import type { Architecture, Batch } from '../architecture/architecture.js';
import * as g from '../graph/build.js';
import { topological, type Value } from '../graph/value.js';

/** A place in a block whose activations feed one or more linear layers, which therefore share moments. */
export interface Site {
  /** Roles of the weights, in the order in which the block uses them. */
  readonly weights: readonly string[];
  /** The activations, tokens × in. */
  readonly input: Value;
}

/** The sites of a block in the order in which a forward pass reaches them. */
export function findSites(architecture: Architecture, batch: Batch): { sites: Site[]; output: Value } {
  const hidden = g.input('hidden', [batch.sequences * batch.length, architecture.hidden]);
  const output = architecture.block(hidden, batch);
  const byInput = new Map<Value, string[]>();
  for (const { op, inputs } of topological([output])) {
    const [x, weight] = inputs;
    if (op !== 'linear' || !x || weight?.name === undefined) continue;
    byInput.set(x, [...(byInput.get(x) ?? []), weight.name]);
  }
  return { sites: Array.from(byInput, ([input, weights]) => ({ input, weights })), output };
}
