import { createHash } from 'node:crypto';
import { dirname } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { TersorError } from '../../errors.js';
import { createKernels, type Kernels } from '../../kernels/kernels.js';
import { toPanel } from '../../kernels/panel.js';
import type { Checkpoint, Tensor, TensorInfo } from '../checkpoint.js';
import { hashFiles, type RangedFile, withFiles } from '../file.js';
import { getIntact } from '../intact.js';
import {
  addSlice,
  headerLength,
  preambleBytes,
  readContents,
  type Slice,
  type StackContents,
  type StackTensor,
  stackShape,
} from './header.js';

/** Real headers stay below 10 MB. */
const largestHeader = 2 ** 28;

/** The storage type that stacked tensors show. */
export const stackedType = 'stacked';

/** How much of a stacked file to use: bytes, or a share of them. */
export type Portion = { readonly bytes: number } | { readonly share: number };

/**
 * Opens a stacked model (src/checkpoint/stack/header.ts), or as much of it as there is: a file that ends early is the
 * same model, less exact.
 * @param portion uses no more than this
 * @throws TersorError when not even the header is there, or it is corrupt
 */
export function openStack(path: string, kernels?: Kernels, portion?: Portion): Promise<Checkpoint> {
  return withFiles(async (open) => {
    const file = await open(path);
    const contents = await readHeader(file);
    const wanted = !portion
      ? contents.bytes
      : 'share' in portion
        ? Math.floor(portion.share * contents.bytes)
        : portion.bytes;
    const bytes = Math.min(file.size, contents.bytes, wanted);
    const first = contents.slices[0]?.offset ?? 0;
    if (bytes < first)
      throw new TersorError(`${bytes} bytes are less than its header, which takes ${first}`, {
        code: 'invalid-option',
        file: path,
        remedy: `use ${first} bytes or more`,
      });
    return stackCheckpoint(file, contents, bytes, kernels);
  });
}

async function readHeader(file: RangedFile): Promise<StackContents> {
  const remedy = getIntact;
  const preamble = new Uint8Array(Math.min(preambleBytes, file.size));
  await file.read(0, preamble);
  const length = headerLength(preamble, file.path);
  if (preambleBytes + length > Math.min(file.size, largestHeader))
    throw new TersorError(`ends before its header does, which takes ${preambleBytes + length} bytes`, {
      file: file.path,
      remedy,
    });
  const packed = new Uint8Array(length);
  await file.read(preambleBytes, packed);
  try {
    const text = inflateRawSync(packed, { maxOutputLength: largestHeader }).toString();
    return readContents(text, length, file.path);
  } catch (cause) {
    if (cause instanceof TersorError) throw cause;
    throw new TersorError('has a corrupt header', { file: file.path, remedy, cause });
  }
}

function stackCheckpoint(
  file: RangedFile,
  contents: StackContents,
  bytes: number,
  kernels?: Kernels,
): Checkpoint {
  const { config, files, provenance, tensors } = contents;
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const slices = new Map<StackTensor, Slice[]>(tensors.map((tensor) => [tensor, []]));
  for (const slice of contents.slices) {
    if (slice.offset + slice.bytes <= bytes) slices.get(slice.tensor)?.push(slice);
  }
  let own: Promise<Kernels> | undefined;
  let last: Promise<unknown> = Promise.resolve();

  const kernelsOf = () => {
    own ??= kernels ? Promise.resolve(kernels) : createKernels();
    return own;
  };

  /** Rows of the program's matrix. */
  const decode = async (tensor: StackTensor, from: number, to: number): Promise<Float32Array> => {
    const [, cols] = stackShape(tensor);
    const values = new Float32Array((to - from) * cols);
    for (const slice of slices.get(tensor) ?? []) {
      if (slice.to <= from || slice.from >= to) continue;
      const stored = new Uint8Array(slice.bytes);
      await file.read(slice.offset, stored, tensor.name);
      const inside = slice.from >= from && slice.to <= to;
      const place = (row: number) => (Math.min(to, Math.max(from, row)) - from) * cols;
      const target = values.subarray(place(slice.from), place(slice.to));
      if (inside) await addSlice(await kernelsOf(), slice, stored, target, file.path);
      else {
        // Only some of the slice's rows are wanted; what earlier refinements left there is carried along.
        const whole = new Float32Array((slice.to - slice.from) * cols);
        const start = Math.max(0, from - slice.from) * cols;
        whole.set(target, start);
        await addSlice(await kernelsOf(), slice, stored, whole, file.path);
        target.set(whole.subarray(start, start + target.length));
      }
    }
    return values;
  };
  // One at a time: the kernels' memory is a stack.
  const queued = <T>(work: () => Promise<T>): Promise<T> => {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
  const find = (name: string): StackTensor => {
    const tensor = byName.get(name);
    if (tensor) return tensor;
    throw new TersorError('there is no such tensor', {
      file: file.path,
      tensor: name,
      remedy: 'list what is there with tersor inspect',
    });
  };
  const shapeOf = ({ shape, transposed }: StackTensor) => (transposed ? shape.toReversed() : shape);

  const readRows = (name: string, from: number, to: number): Promise<Tensor> => {
    const tensor = find(name);
    const [rows = 1, ...inner] = shapeOf(tensor);
    if (!(Number.isInteger(from) && Number.isInteger(to) && 0 <= from && from <= to && to <= rows))
      throw new RangeError(`rows ${from} to ${to} of ${name}, which has ${rows}`);
    return queued(async () => {
      const [height, width] = stackShape(tensor);
      if (tensor.transposed) {
        const data = await decode(tensor, 0, height);
        const turned = await transpose(await kernelsOf(), data, height, width);
        return { shape: [to - from, ...inner], data: turned.slice(from * height, to * height) };
      }
      const vector = tensor.shape.length === 1;
      const data = await decode(tensor, vector ? 0 : from, vector ? 1 : to);
      return { shape: [to - from, ...inner], data: vector ? data.slice(from, to) : data };
    });
  };
  const info = (tensor: StackTensor): TensorInfo => ({
    name: tensor.name,
    shape: shapeOf(tensor),
    type: tensor.steps ? stackedType : 'f32',
    bytes: (slices.get(tensor) ?? []).reduce((sum, slice) => sum + slice.bytes, 0),
  });
  return {
    path: file.path,
    format: 'stack',
    naming: 'huggingface',
    runtimeValues: true,
    metadata: { ...config, ...provenance },
    folder: dirname(file.path),
    companions: new Map(
      Object.entries(files).map(([name, content]) => [
        name,
        typeof content === 'string' ? Buffer.from(content) : Buffer.from(content.base64, 'base64'),
      ]),
    ),
    tensors: new Map(tensors.map((tensor) => [tensor.name, info(tensor)])),
    bytes,
    stack: {
      bytes: contents.bytes,
      headerBytes: contents.slices[0]?.offset ?? contents.bytes,
      completeBytes: contents.completeAt,
      slices: contents.slices.length,
      present: [...slices.values()].reduce((sum, own) => sum + own.length, 0),
    },
    read: (name) => readRows(name, 0, shapeOf(find(name))[0] ?? 1),
    readRows,
    async fingerprint() {
      const hash = createHash('sha256').update(`stack ${bytes}`);
      await hashFiles(hash, [file]);
      return hash.digest('hex');
    },
    async close() {
      await last;
      await file.close();
    },
  };
}

/** The columns of a row-major matrix, one after another. */
function transpose(kernels: Kernels, data: Float32Array, rows: number, cols: number): Promise<Float32Array> {
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, { rows, cols, data });
    if (panel.stride === rows) return panel.data.slice();
    const turned = new Float32Array(data.length);
    for (let col = 0; col < cols; col++)
      turned.set(panel.data.subarray(col * panel.stride, col * panel.stride + rows), col * rows);
    return turned;
  });
}
