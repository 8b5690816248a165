import type { Model } from '../../src/architecture/model.js';
import type { StackDecoder } from '../../src/checkpoint/stack/decoder.js';
import { modelOf } from './checkpoint.js';

/** The model as a decoder has it after its last update. */
export function arrivedModel(name: string, decoder: StackDecoder): Promise<Model> {
  const { contents } = decoder;
  if (!contents) throw new Error('the header has not come yet');
  const tensors = contents.tensors.map(({ name: tensor, shape, transposed }) => ({
    name: tensor,
    shape: transposed ? shape.toReversed() : shape,
    type: 'f32',
    bytes: 0,
  }));
  return modelOf(name, contents.config, tensors, async (tensor) => decoder.values(tensor));
}
