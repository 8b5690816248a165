import type { TensorKind } from '../../architecture/architecture.js';

/** What a part of a model takes. */
export interface Part {
  readonly bytes: number;
  readonly bitsPerWeight: number;
}

/** The linear layers of the blocks, and the tables of tokens: embedding and output head. */
export interface Parts {
  readonly layers: Part;
  readonly embedding: Part;
}

/** A tensor with a type. */
interface Stored {
  readonly spec: { readonly kind: TensorKind };
  readonly bytes: number;
  readonly elements: number;
}

/** What the parts of a model take whose types are chosen apart; vectors belong to neither. */
export function partsOf(tensors: readonly Stored[]): Parts {
  const part = (...kinds: readonly TensorKind[]): Part => {
    const own = tensors.filter(({ spec }) => kinds.includes(spec.kind));
    const bytes = own.reduce((sum, each) => sum + each.bytes, 0);
    const elements = own.reduce((sum, each) => sum + each.elements, 0);
    return { bytes, bitsPerWeight: (8 * bytes) / Math.max(1, elements) };
  };
  return { layers: part('linear'), embedding: part('embedding', 'head') };
}
