import type { TensorSpec } from '../../architecture/architecture.js';
import { type Model, readBlock } from '../../architecture/model.js';
import type { Workshop } from '../workshop.js';
import { readLevel, type SolvedLevel } from './levels.js';
import type { Store } from './store.js';

/** A model whose weights are the chosen levels of the store; tensors without one keep the original's. */
export function mixture(
  shop: Workshop,
  store: Store,
  model: Model,
  chosen: ReadonlyMap<TensorSpec, SolvedLevel>,
): Model {
  const read = async (spec: TensorSpec) => {
    const level = chosen.get(spec);
    return level ? readLevel(shop, store, level.key, level.grid, spec) : model.read(spec);
  };
  return { ...model, read, readBlock: (block) => readBlock(model.architecture, block, read) };
}
