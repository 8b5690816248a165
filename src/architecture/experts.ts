import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { Pieces } from './decoder-pieces.js';
import { activate } from './decoder-pieces.js';
import type { DecoderShape, Experts } from './decoder-shape.js';

/** Role of one expert's weight, without `.weight`; llama.cpp keeps those of all experts in one tensor. */
export const expertRole = (role: string, expert: number): string => `${role}.${expert}`;

/**
 * Each expert multiplies with the tokens that chose it and no others, one expert after another, so that there are never
 * activations of more than one.
 * @param x tokens × hidden
 */
export function expertLayer(shape: DecoderShape, experts: Experts, pieces: Pieces, x: Value): Value {
  const { linear, weight } = pieces;
  const [tokens = 0] = x.shape;
  const { count, used } = experts;
  // No linear layer in the sense of calibration: the router is kept as it is.
  const scores = route(x, weight('ffn_gate_inp.weight'));
  const chosen = g.topIndices(scores, used);
  const shares = experts.normalized ? g.softmax(g.pick(scores, chosen)) : g.pick(g.softmax(scores), chosen);
  const none = g.constant(new Float32Array(tokens * count), [tokens, count]);
  const ofExperts = g.place(none, chosen, shares);
  const gated = (inputs: Value, part: (role: string) => string) =>
    linear(
      g.mul(activate(linear(inputs, part('ffn_gate')), shape.activation), linear(inputs, part('ffn_up'))),
      part('ffn_down'),
    );

  let sum = g.mul(x, g.scalar(0));
  for (let expert = 0; expert < count; expert++) {
    const share = g.slice(ofExperts, 1, expert, expert + 1);
    const rows = g.rowsWhere(share);
    const outputs = gated(g.gatherRows(x, rows), (role) => expertRole(`${role}_exps`, expert));
    sum = g.addRows(sum, rows, g.mul(outputs, g.gatherRows(share, rows)));
  }
  if (!experts.shared) return sum;
  const outputs = gated(x, (role) => `${role}_shexp`);
  if (!experts.shared.gated) return g.add(sum, outputs);
  return g.add(sum, g.mul(outputs, g.sigmoid(route(x, weight('ffn_gate_inp_shexp.weight')))));
}

const route = (x: Value, weight: Value): Value => g.matmul(x, g.transpose(weight, [1, 0]));
