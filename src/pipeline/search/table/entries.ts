import type { Level } from '../../../allocation/table.js';
import { matrixShape, type TensorSpec } from '../../../architecture/architecture.js';
import type { Grid } from '../../../grid/grid.js';
import { isRowMixGrid } from '../../../grid/tersor/row-mix.js';
import type { LevelFacts } from '../../../sensitivity/measure.js';
import type { Moments } from '../../../types.js';
import type { Context } from '../../context/context.js';
import { keyOf, numberBytes, readNumber, type Store } from '../../context/store.js';
import { unpackTensor } from '../../solve/packed.js';
import { compressTensor, type TensorRecipe } from '../../solve/tensor.js';

/** One way to store a tensor, solved on the original model's activations; without moments its H is I. */
export interface SolvedLevel extends Level, LevelFacts {
  readonly bytes: number;
  readonly grid: Grid;
  /** Where the store has its packed rows. */
  readonly key: string;
}

/** A level that was solved just now or before. */
export interface Solved {
  readonly level: Omit<SolvedLevel, 'loss'>;
  /** Decoded values. */
  readonly values: () => Promise<Float32Array>;
}

/** A tensor and one of its levels. */
export interface LevelTask {
  readonly spec: TensorSpec;
  readonly grid: Grid;
  readonly weight: Float32Array;
  readonly moments: Moments | undefined;
  readonly recipe: TensorRecipe;
  /** Hash of what the level depends on besides its type. */
  readonly identity: string;
  /** Of rows, where the grid has rows of two precisions. */
  readonly importance: Float32Array | undefined;
}

/** One level, from the store if it is there. An entry is the relative error as a double, then the packed rows. */
export async function solveLevel(context: Context, store: Store, task: LevelTask): Promise<Solved> {
  const { grid, spec, weight, moments, recipe, identity, importance } = task;
  const type = grid.variant ? `${grid.name} ${grid.variant}` : grid.name;
  const key = keyOf(identity, type, ...(importance && isRowMixGrid(grid) ? [importance] : []));
  const [rows, cols] = matrixShape(spec);
  const level = (relativeError: number) => ({
    type: grid.name,
    bytes: grid.bytes(rows, cols),
    grid,
    relativeError,
    key,
  });
  const known = await store.get(key);
  if (known)
    return {
      level: level(readNumber(known)),
      values: () => readLevel(context, store, key, grid, spec),
    };
  const { bytes, relativeError } = await compressTensor(context, task, weight, moments, recipe, {
    rows: importance,
  });
  await store.put(key, Buffer.concat([numberBytes(relativeError), bytes]));
  return { level: level(relativeError), values: () => unpackTensor(context.kernels, task, bytes) };
}

/** Decoded values of a level in the store, rows × cols. */
export async function readLevel(
  { kernels }: Context,
  store: Store,
  key: string,
  grid: Grid,
  spec: TensorSpec,
): Promise<Float32Array> {
  const entry = await store.get(key);
  if (!entry) throw new Error(`the store has lost the level ${grid.name} of ${spec.names.gguf}`);
  return unpackTensor(kernels, { spec, grid }, entry.subarray(8));
}
