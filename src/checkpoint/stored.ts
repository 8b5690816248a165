import { createHash } from 'node:crypto';
import { TersorError } from '../errors.js';
import { createKernels, type Kernels } from '../kernels/kernels.js';
import type { Checkpoint, TensorInfo } from './checkpoint.js';
import { decodeRows, type StoredTensor } from './decode.js';
import { hashFiles, type RangedFile } from './file.js';

/** What a reader of headers found out: a checkpoint without the means to decode it. */
export interface Stored
  extends Omit<Checkpoint, 'tensors' | 'bytes' | 'read' | 'readRows' | 'fingerprint' | 'close'> {
  readonly files: readonly RangedFile[];
  readonly tensors: readonly StoredTensor[];
}

/**
 * The checkpoint that consists of stored tensors.
 * @param kernels decode in these kernels' memory, which nothing else may use during a read; by default the
 *   checkpoint has kernels of its own, so that reads may go on while others are at work
 */
export function storedCheckpoint(stored: Stored, kernels?: Kernels): Checkpoint {
  const { files, tensors, ...rest } = stored;
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  let own: Promise<Kernels> | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const find = (name: string): StoredTensor => {
    const tensor = byName.get(name);
    return tensor ?? noSuchTensor(rest.path, name);
  };
  // One at a time: the kernels' memory is a stack.
  const decode = (tensor: StoredTensor, from: number, to: number) => {
    const result = last.then(async () => {
      own ??= kernels ? Promise.resolve(kernels) : createKernels();
      return decodeRows(await own, tensor, from, to);
    });
    // Without the values, which would stay in memory until the next read.
    last = result.then(nothing, nothing);
    return result;
  };

  return {
    ...rest,
    tensors: new Map(
      tensors.map(({ name, shape, type, bytes }): [string, TensorInfo] => [
        name,
        { name, shape, type, bytes },
      ]),
    ),
    bytes: files.reduce((sum, file) => sum + file.size, 0),
    async read(name) {
      const tensor = find(name);
      return { shape: tensor.shape, data: await decode(tensor, 0, tensor.shape[0] ?? 1) };
    },
    async readRows(name, from, to) {
      const tensor = find(name);
      const [rows = 1, ...inner] = tensor.shape;
      if (!(Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from <= to && to <= rows)) {
        throw new RangeError(`rows ${from} to ${to} of ${name}, which has ${rows}`);
      }
      return { shape: [to - from, ...inner], data: await decode(tensor, from, to) };
    },
    async fingerprint() {
      const hash = createHash('sha256').update(
        JSON.stringify([rest.format, rest.metadata, ...tensors.map(place)], plain),
      );
      await hashFiles(hash, files);
      return hash.digest('hex');
    },
    async close() {
      await last;
      await Promise.all(files.map((file) => file.close()));
    },
  };
}

export function noSuchTensor(file: string, tensor: string): never {
  throw new TersorError('there is no such tensor', {
    code: 'not-found',
    file,
    tensor,
    remedy: 'list what is there with tersor inspect',
  });
}

const nothing = () => {};

/** Where a tensor lies, without the file's name: a model that was moved is the same model. */
const place = ({ name, type, shape, offset }: StoredTensor) => [name, type, shape, offset];

const plain = (_key: string, value: unknown) => (typeof value === 'bigint' ? `${value}` : value);
