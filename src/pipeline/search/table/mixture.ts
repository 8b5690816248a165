import { matrixShape, type TensorSpec } from '../../../architecture/architecture.js';
import { type Model, readBlock } from '../../../architecture/model.js';
import type { Context } from '../../context/context.js';
import type { Store } from '../../context/store.js';
import { readLevel, type SolvedLevel } from './entries.js';

/** A weight in the store. */
export type StoredWeight = Pick<SolvedLevel, 'grid' | 'key'>;

/** A model whose weights are in the store; tensors without one there keep the original's. */
export function mixture(
  context: Context,
  store: Store,
  model: Model,
  chosen: ReadonlyMap<TensorSpec, StoredWeight>,
): Model {
  const read = async (spec: TensorSpec) => {
    const level = chosen.get(spec);
    return level ? readLevel(context, store, level.key, level.grid, spec) : model.read(spec);
  };
  return {
    ...model,
    read,
    async readRows(spec, from, to) {
      const [, cols] = matrixShape(spec);
      return (await read(spec)).subarray(from * cols, to * cols);
    },
    readBlock: (block) => readBlock(model.architecture, block, read),
  };
}
