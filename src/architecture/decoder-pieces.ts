import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { TensorSpec } from './architecture.js';
import type { DecoderShape } from './decoder-shape.js';

/** The graph's pieces over the tensors of one block, or of those outside. */
export interface Pieces {
  find(role: string): Value | undefined;
  weight(role: string): Value;
  linear(x: Value, role: string): Value;
  norm(x: Value, role: string): Value;
}

export function piecesOf({ norm, epsilon }: DecoderShape, specs: ReadonlyMap<string, TensorSpec>): Pieces {
  const find = (role: string) => {
    const spec = specs.get(role);
    return spec && g.input(role, spec.shape);
  };
  const weight = (role: string) => find(role) ?? missing(role);
  return {
    find,
    weight,
    linear: (x, role) => g.linear(x, weight(`${role}.weight`), find(`${role}.bias`)),
    norm(x, role) {
      const gain = weight(`${role}.weight`);
      if (norm !== 'layer') return g.rmsNorm(x, gain, epsilon);
      const zero = () => g.constant(new Float32Array(gain.shape[0] ?? 0));
      return g.layerNorm(x, gain, find(`${role}.bias`) ?? zero(), epsilon);
    },
  };
}

export const activate = (x: Value, activation: DecoderShape['activation']): Value =>
  ({ silu: g.silu, gelu: g.gelu, geluTanh: g.geluTanh })[activation](x);

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}`);
}
