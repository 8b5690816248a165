import { type Model, openModel } from '../../src/architecture/model.js';
import type { Checkpoint, TensorInfo } from '../../src/checkpoint/checkpoint.js';
import { decodeRows, type StoredTensor } from '../../src/checkpoint/decode.js';
import type { Kernels } from '../../src/kernels/kernels.js';

type Values = (name: string) => Promise<Float32Array>;

/** A model over values in memory. */
export function modelOf(
  path: string,
  config: Readonly<Record<string, unknown>>,
  tensors: readonly TensorInfo[],
  values: Values,
): Promise<Model> {
  const infos = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const read = async (name: string) => ({ shape: infos.get(name)?.shape ?? [], data: await values(name) });
  const checkpoint: Checkpoint = {
    path,
    format: 'safetensors',
    naming: 'huggingface',
    runtimeValues: true,
    metadata: config,
    folder: '',
    tensors: infos,
    bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0),
    read,
    readRows: () => Promise.reject(new Error('only whole tensors are read here')),
    fingerprint: () => Promise.reject(new Error('nothing is resumed here')),
    close: () => Promise.resolve(),
  };
  return openModel(checkpoint);
}

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: readonly [number, number];
}

/** The tensors of a safetensors file that was fetched as a whole (src/checkpoint/safetensors.ts reads others). */
export function openSafetensors(
  path: string,
  bytes: Uint8Array,
  config: Readonly<Record<string, unknown>>,
  kernels: Kernels,
): Promise<Model> {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)));
  const file = {
    path,
    size: bytes.length,
    async read(offset: number, target: Uint8Array) {
      target.set(bytes.subarray(offset, offset + target.length));
    },
    close: () => Promise.resolve(),
  };
  const stored = Object.entries<Entry>(header).flatMap(([name, entry]): StoredTensor[] => {
    if (name === '__metadata__') return [];
    const [from, to] = entry.data_offsets;
    const type = entry.dtype.toLowerCase();
    return [{ name, shape: entry.shape, type, bytes: to - from, file, offset: 8 + length + from }];
  });
  const byName = new Map(stored.map((tensor) => [tensor.name, tensor]));
  return modelOf(path, config, stored, (name) => {
    const tensor = byName.get(name);
    if (!tensor) throw new Error(`there is no tensor ${name}`);
    return decodeRows(kernels, tensor, 0, tensor.shape[0] ?? 1);
  });
}
