import { TersorError } from '../../errors.js';
import type { Kernels } from '../../kernels/instance.js';
import {
  addSlice,
  headerLength,
  preambleBytes,
  readContents,
  type StackContents,
  stackShape,
} from './header.js';

/** A stacked model on its way here: bytes go in at one end, weights get more exact at the other. */
export interface StackDecoder {
  /** Takes the next bytes of the file. */
  push(bytes: Uint8Array): void;
  /** Bytes that have come. */
  readonly received: number;
  /** The header; known after an `update` once it is here. */
  readonly contents: StackContents | undefined;
  /** Whether every tensor is there, if only coarsely. */
  readonly usable: boolean;
  /**
   * Adds the slices that have come since to the weights.
   * @returns the names of tensors whose weights changed
   * @throws TersorError when what came is corrupt
   */
  update(): Promise<ReadonlySet<string>>;
  /**
   * A tensor's weights as they are after the last `update`, row-major [out, in]; the same array every time.
   * @throws TersorError when there is no such tensor, or the header has not come yet
   */
  values(name: string): Float32Array;
}

/**
 * Decodes a stacked file (src/checkpoint/stack/header.ts) as it arrives.
 * @param kernels used during `update` only, one at a time
 * @param file its name, for errors
 */
export function createStackDecoder(kernels: Kernels, file = 'the stacked model'): StackDecoder {
  let buffer: Uint8Array = new Uint8Array(1 << 20);
  let received = 0;
  let contents: StackContents | undefined;
  let settled = 0;
  const values = new Map<string, Float32Array>();

  const find = (name: string): Float32Array => {
    const found = values.get(name);
    if (found) return found;
    throw new TersorError(contents ? 'there is no such tensor' : 'the header has not come yet', {
      code: 'not-found',
      file,
      tensor: name,
      remedy: contents ? 'see contents.tensors for what is there' : 'wait for more of the file',
    });
  };
  const readHeader = async (): Promise<StackContents | undefined> => {
    if (received < preambleBytes) return undefined;
    const length = headerLength(buffer.subarray(0, preambleBytes), file);
    if (received < preambleBytes + length) return undefined;
    const packed = buffer.slice(preambleBytes, preambleBytes + length);
    const header = readContents(await inflate(packed), length, file);
    for (const tensor of header.tensors) {
      const [rows, cols] = stackShape(tensor);
      values.set(tensor.name, new Float32Array(rows * cols));
    }
    return header;
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
    async update() {
      const changed = new Set<string>();
      contents ??= await readHeader();
      for (const slices = contents?.slices ?? []; settled < slices.length; settled++) {
        const slice = slices[settled];
        if (!slice || slice.offset + slice.bytes > received) break;
        const { tensor, from, to, offset, bytes } = slice;
        const [, cols] = stackShape(tensor);
        const rows = find(tensor.name).subarray(from * cols, to * cols);
        await addSlice(kernels, slice, buffer.subarray(offset, offset + bytes), rows, file);
        changed.add(tensor.name);
      }
      return changed;
    },
    values: find,
  };
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate-raw'));
  return new Response(stream).text();
}
