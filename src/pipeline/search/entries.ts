import type { Level } from '../../allocation/table.js';
import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import { decodeRows } from '../../checkpoint/decode.js';
import { memoryFile } from '../../checkpoint/file.js';
import type { Grid } from '../../grid/grid.js';
import { isRowMixGrid } from '../../grid/row-mix.js';
import type { Moments } from '../../types.js';
import { compressTensor, type TensorRecipe } from '../tensor.js';
import type { Workshop } from '../workshop.js';
import { keyOf, type Store } from './store.js';

/** One way to store a tensor, solved on the original model's activations. */
export interface SolvedLevel extends Level {
  readonly grid: Grid;
  /** ε = tr(Δ H Δᵀ) / tr(W H Wᵀ), with H as for a compressed tensor; without moments H = I. */
  readonly relativeError: number;
  /** Mean divergence of the model with only this tensor so, where it was measured; nats per token. */
  readonly divergence?: number;
  /** ‖W − Ŵ‖² / ‖W‖², where it was asked for. */
  readonly weightError?: number;
  /** Where the store has its packed rows. */
  readonly key: string;
}

/** A level that was solved just now or before. */
export interface Solved {
  readonly level: Omit<SolvedLevel, 'damage'>;
  /** Decoded values. */
  readonly values: () => Promise<Float32Array>;
}

/** One level, from the store if it is there. An entry is the relative error as a double, then the packed rows. */
export async function solveLevel(
  shop: Workshop,
  store: Store,
  task: { readonly spec: TensorSpec; readonly grid: Grid },
  weight: Float32Array,
  moments: Moments | undefined,
  recipe: TensorRecipe,
  identity: string,
  importance?: Float32Array,
): Promise<Solved> {
  const { grid, spec } = task;
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
      values: () => readLevel(shop, store, key, grid, spec),
    };
  const { bytes, relativeError, decoded } = await compressTensor(shop, task, weight, moments, recipe, {
    rows: importance,
  });
  await store.put(key, Buffer.concat([numberBytes(relativeError), bytes]));
  return { level: level(relativeError), values: async () => decoded };
}

/** A double as it stands at the beginning of an entry. */
export function numberBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return bytes;
}

// An entry is a view into a file's bytes: its buffer begins with what lies before it.
export function readNumber({ buffer, byteOffset }: Uint8Array): number {
  return new DataView(buffer, byteOffset, 8).getFloat64(0, true);
}

/** Decoded values of a level in the store, rows × cols. */
export async function readLevel(
  { kernels }: Workshop,
  store: Store,
  key: string,
  grid: Grid,
  spec: TensorSpec,
): Promise<Float32Array> {
  const entry = await store.get(key);
  if (!entry) throw new Error(`the store has lost the level ${grid.name} of ${spec.names.gguf}`);
  const bytes = entry.subarray(8);
  const shape = matrixShape(spec);
  const file = memoryFile(key, bytes);
  return decodeRows(
    kernels,
    { name: spec.names.gguf, type: grid.name, grid, shape, bytes: bytes.length, file, offset: 0 },
    0,
    shape[0],
  );
}
