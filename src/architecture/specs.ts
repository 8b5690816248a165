import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import type { TensorKind, TensorSpec } from './architecture.js';

/** How Hugging Face's names go on from those of a module, in a block or outside the blocks. */
export type Naming = (huggingface: string, block: number | undefined) => string;

/** Tensors of models whose norms and layers all have biases. */
export interface Specs {
  one(
    role: string,
    huggingface: string,
    kind: TensorKind,
    size: readonly number[],
    block?: number,
  ): TensorSpec;
  norm(role: string, huggingface: string, block?: number): TensorSpec[];
  layer(role: string, huggingface: string, out: number, inputs: number, block: number): TensorSpec[];
}

/**
 * @param hidden width of the norms
 * @param linear what else is true of linear weights
 */
export function biasedSpecs(
  hidden: number,
  naming: Naming,
  linear: Pick<TensorSpec, 'transposed'> = {},
): Specs {
  const one: Specs['one'] = (role, huggingface, kind, size, block) => ({
    role,
    ...(block === undefined ? {} : { block }),
    kind,
    shape: size,
    names: {
      huggingface: naming(huggingface, block),
      gguf: block === undefined ? role : `blk.${block}.${role}`,
    },
    ...(kind === 'linear' ? linear : {}),
  });
  return {
    one,
    norm: (role, huggingface, block) => [
      one(`${role}.weight`, `${huggingface}.weight`, 'norm', [hidden], block),
      one(`${role}.bias`, `${huggingface}.bias`, 'bias', [hidden], block),
    ],
    layer: (role, huggingface, out, inputs, block) => [
      one(`${role}.weight`, `${huggingface}.weight`, 'linear', [out, inputs], block),
      one(`${role}.bias`, `${huggingface}.bias`, 'bias', [out], block),
    ],
  };
}

/** The graph's pieces over such tensors, by role. */
export function biasedLayers(tensors: readonly TensorSpec[], epsilon: number) {
  const shapes = new Map(tensors.map(({ role, shape }) => [role, shape]));
  const weight = (role: string): Value => g.input(role, shapes.get(role) ?? []);
  return {
    weight,
    linear: (x: Value, role: string): Value => g.linear(x, weight(`${role}.weight`), weight(`${role}.bias`)),
    normalise: (x: Value, role: string): Value =>
      g.layerNorm(x, weight(`${role}.weight`), weight(`${role}.bias`), epsilon),
  };
}
