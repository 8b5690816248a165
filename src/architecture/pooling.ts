import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { Architecture, Batch } from './architecture.js';

/**
 * Embeddings as an encoder's graph: outputs of the last block (tokens × hidden) → one vector of length one for each
 * sequence (sequences × 1 × hidden), by the encoder's pooling.
 */
export function pooled(
  { hidden: width, pooling }: Pick<Architecture, 'hidden' | 'pooling'>,
  hidden: Value,
  { sequences, length }: Batch,
): Value {
  const tokens = g.reshape(hidden, [sequences, length, width]);
  const one = pooling === 'cls' ? g.slice(tokens, 1, 0, 1) : g.sum(tokens, 1);
  return g.div(one, g.sqrt(g.sum(g.mul(one, one), -1)));
}
