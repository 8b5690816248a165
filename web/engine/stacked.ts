import type { Model } from '../../src/architecture/model.js';
import {
  addSlice,
  headerLength,
  preambleBytes,
  readContents,
  type StackContents,
  stackShape,
} from '../../src/checkpoint/stack/header.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { modelOf } from './checkpoint.js';

/** A stacked model on its way here: bytes go in at one end, weights get exacter at the other. */
export interface Arrival {
  /** Takes the next bytes of the file. */
  push(bytes: Uint8Array): void;
  /** Bytes that have come. */
  readonly received: number;
  /** Known once the header is here. */
  readonly contents: StackContents | undefined;
  /** Whether every tensor is there, if only coarsely. */
  readonly usable: boolean;
  /** Adds the slices that have come since to the weights. */
  settle(): Promise<void>;
  /** The model as it is after the last `settle`. */
  model(): Promise<Model>;
  values(name: string): Float32Array;
}

export function createArrival(kernels: Kernels, name: string): Arrival {
  let buffer: Uint8Array = new Uint8Array(1 << 20);
  let received = 0;
  let contents: StackContents | undefined;
  let settled = 0;
  const values = new Map<string, Float32Array>();

  const readHeader = async () => {
    if (received < preambleBytes) return;
    const length = headerLength(buffer.subarray(0, preambleBytes), name);
    if (received < preambleBytes + length) return;
    const packed = buffer.slice(preambleBytes, preambleBytes + length);
    const text = await inflate(packed);
    contents = readContents(text, length, name);
    for (const tensor of contents.tensors) {
      const [rows, cols] = stackShape(tensor);
      values.set(tensor.name, new Float32Array(rows * cols));
    }
  };
  return {
    push(bytes) {
      const needed = received + bytes.length;
      if (needed > buffer.length) {
        const grown = new Uint8Array(Math.max(needed, 2 * buffer.length));
        grown.set(buffer.subarray(0, received));
        buffer = grown;
      }
      buffer.set(bytes, received);
      received = needed;
    },
    get received() {
      return received;
    },
    get contents() {
      return contents;
    },
    get usable() {
      return contents !== undefined && received >= contents.completeAt;
    },
    async settle() {
      if (!contents) await readHeader();
      for (const { slices } = contents ?? { slices: [] }; settled < slices.length; settled++) {
        const slice = slices[settled];
        if (!slice || slice.offset + slice.bytes > received) return;
        const { tensor, from, to, offset, bytes } = slice;
        const [, cols] = stackShape(tensor);
        const rows = values.get(tensor.name)?.subarray(from * cols, to * cols) ?? new Float32Array();
        await addSlice(kernels, slice, buffer.subarray(offset, offset + bytes), rows, name);
      }
    },
    async model() {
      if (!contents) throw new Error('the header has not come yet');
      const tensors = contents.tensors.map(({ name: tensor, shape, transposed }) => ({
        name: tensor,
        shape: transposed ? shape.toReversed() : shape,
        type: 'f32',
        bytes: 0,
      }));
      return modelOf(
        name,
        contents.config,
        tensors,
        async (tensor) => values.get(tensor) ?? new Float32Array(),
      );
    },
    values: (tensor) => values.get(tensor) ?? new Float32Array(),
  };
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Response(stream).text();
}
