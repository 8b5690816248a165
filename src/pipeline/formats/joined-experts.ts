import type { TensorInfo } from '../../checkpoint/checkpoint.js';
import { TersorError } from '../../errors.js';
import { required } from '../../required.js';
import type { TensorWriter } from '../../writer/tensor-writer.js';
import type { Assignment } from '../prepare/plan.js';

/** Where the bytes of a tensor lie in a file. */
interface Place {
  readonly name: string;
  readonly offset: number;
}

/** Tensors of a file that keeps the weights of all experts of a layer one after another in one tensor. */
export interface Joined {
  readonly tensors: readonly TensorInfo[];
  /** By the names of the assignments. */
  readonly places: ReadonlyMap<string, Place>;
}

/** @throws TersorError for experts of one layer with different types, which one tensor cannot have */
export function joinExperts(assignments: readonly Assignment[]): Joined {
  const tensors = new Map<string, TensorInfo>();
  const places = new Map<string, Place>();
  for (const { name, spec, type, bytes } of assignments) {
    const { expert } = spec;
    const whole = expert?.gguf ?? name;
    const before = tensors.get(whole);
    if (before && before.type !== type)
      throw new TersorError(
        `a GGUF keeps all experts of a layer in one tensor: they cannot be ${before.type} and ${type}`,
        {
          code: 'invalid-option',
          tensor: name,
          remedy: `give an --override that names all of ${whole.replace(/\.weight$/, '')}`,
        },
      );
    places.set(name, { name: whole, offset: bytes * (expert?.index ?? 0) });
    if (before) continue;
    const shape = expert ? [expert.count, ...spec.shape] : spec.shape;
    tensors.set(whole, { name: whole, shape, type, bytes: bytes * (expert?.count ?? 1) });
  }
  return { tensors: [...tensors.values()], places };
}

/** Takes the bytes of each expert to where they lie in the tensor of all; other tensors go through. */
export const joiningWriter = (writer: TensorWriter, { places }: Joined): TensorWriter => ({
  ...writer,
  async write(name, bytes, offset = 0) {
    const place = places.has(name) ? required(places, name) : { name, offset: 0 };
    await writer.write(place.name, bytes, place.offset + offset);
  },
});
