import { unlinkSync } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import type { TensorInfo } from '../checkpoint/checkpoint.js';
import { TersorError } from '../errors.js';
import { type GgufName, ggufFormats } from '../grid/gguf.js';
import { createCounter, createFiller, type Metadata, putPair, type Sink } from './metadata.js';
import { checkOutput, fileError, syncFolder, temporaryPath } from './output.js';

const MAGIC = 0x46554747; // 'GGUF', little-endian
const VERSION = 3;
/** What readers assume without the key `general.alignment`. */
const ALIGNMENT = 32;
/** ggml keeps tensor names in char[64], the terminating zero included. */
const MAX_NAME_BYTES = 63;

/** Writes a GGUF file piece by piece; the target appears only when it is complete. */
export interface GgufWriter {
  /** Size of the finished file. */
  readonly bytes: number;
  /**
   * Writes bytes of one tensor, in any order of tensors and pieces.
   * @param offset where in the tensor's data they begin
   * @throws TersorError when the disk is full or gone
   */
  write(name: string, bytes: Uint8Array, offset?: number): Promise<void>;
  /**
   * Makes sure that every byte is on the disk and gives the file its name.
   * @param check looks at the complete file before it takes the target's place; when it throws, nothing changes
   */
  finish(check?: (path: string) => Promise<void>): Promise<void>;
  /** Gives up: nothing stays behind. Harmless after `finish` and when repeated. */
  abort(): Promise<void>;
}

interface Place {
  readonly position: number;
  readonly bytes: number;
  readonly written: [from: number, to: number][];
}

/**
 * The exact size in bytes of the GGUF file that `createGgufWriter` makes of the same arguments.
 * @throws TersorError for a tensor name longer than ggml takes
 */
export function ggufSize(metadata: Metadata, tensors: readonly TensorInfo[]): number {
  return tensors.reduce((total, tensor) => total + pad(tensor.bytes), headerBytes(metadata, tensors));
}

/**
 * Begins a GGUF file, version 3, of the given key-value pairs and tensors (https://github.com/ggml-org/ggml,
 * docs/gguf.md). Header and data go into a temporary file beside the target, which `finish` renames over it;
 * the tensors' data follow one another in the order of `tensors`, each padded to 32 bytes. Nothing but the
 * header is held in memory.
 * @throws TersorError when the folder is missing or not writable, or the target is a folder
 */
export async function createGgufWriter(
  path: string,
  plan: { readonly metadata: Metadata; readonly tensors: readonly TensorInfo[] },
): Promise<GgufWriter> {
  const { metadata, tensors } = plan;
  await checkOutput(path);
  const places = new Map<string, Place>();
  let end = headerBytes(metadata, tensors);
  const header = Buffer.alloc(end);
  for (const { name, bytes } of tensors) {
    if (places.has(name)) throw new Error(`tensor ${name} is planned twice`);
    places.set(name, { position: end, bytes, written: [] });
    end += pad(bytes);
  }
  putHeader(createFiller(header), metadata, tensors);

  const temporary = temporaryPath(path);
  const file = await open(temporary, 'w').catch((cause) => {
    throw fileError(path, cause);
  });
  const removeTemporary = () => {
    try {
      unlinkSync(temporary);
    } catch {
      // Already gone, which is what was wanted.
    }
  };
  process.once('exit', removeTemporary);
  let state: 'writing' | 'closed' | 'done' = 'writing';
  const close = async () => {
    if (state === 'writing') await file.close();
    state = 'closed';
  };
  const leave = () => {
    process.off('exit', removeTemporary);
    state = 'done';
  };
  const abort = async () => {
    if (state === 'done') return;
    await close();
    removeTemporary();
    leave();
  };
  const guard = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (cause) {
      await abort();
      throw fileError(path, cause);
    }
  };

  await guard(async () => {
    await file.truncate(end);
    await writeAll(file, header, 0);
  });
  return {
    bytes: end,
    async write(name, bytes, offset = 0) {
      const place = places.get(name);
      if (!place) throw new Error(`tensor ${name} is not in the plan`);
      if (offset < 0 || offset + bytes.length > place.bytes)
        throw new Error(`tensor ${name}: bytes ${offset} to ${offset + bytes.length} of ${place.bytes}`);
      await guard(() => writeAll(file, bytes, place.position + offset));
      place.written.push([offset, offset + bytes.length]);
    },
    async finish(check) {
      for (const [name, place] of places) {
        const gap = firstGap(place);
        if (gap === undefined) continue;
        await abort();
        throw new Error(`tensor ${name}: byte ${gap} was not written exactly once`);
      }
      await guard(async () => {
        await file.sync();
        await check?.(temporary);
        await close();
        await rename(temporary, path);
        leave();
        await syncFolder(path);
      });
    },
    abort,
  };
}

function headerBytes(metadata: Metadata, tensors: readonly TensorInfo[]): number {
  const counter = createCounter();
  putHeader(counter, metadata, tensors);
  return pad(counter.bytes());
}

function putHeader(sink: Sink, metadata: Metadata, tensors: readonly TensorInfo[]): void {
  const pairs = Object.entries(metadata);
  sink.number('u32', MAGIC);
  sink.number('u32', VERSION);
  sink.number('u64', tensors.length);
  sink.number('u64', pairs.length);
  for (const [key, value] of pairs) putPair(sink, key, value);
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    if (Buffer.byteLength(name) > MAX_NAME_BYTES)
      throw new TersorError(`the name has more than ${MAX_NAME_BYTES} bytes`, {
        tensor: name,
        remedy: 'rename the tensor; llama.cpp cannot load it',
      });
    sink.string(name);
    sink.number('u32', shape.length);
    for (const length of shape.toReversed()) sink.number('u64', length);
    sink.number('u32', typeNumber(name, type));
    sink.number('u64', offset);
    offset += pad(bytes);
  }
}

/** `enum ggml_type` of a type's name. */
function typeNumber(tensor: string, type: string): number {
  if (Object.hasOwn(ggufFormats, type)) return ggufFormats[type as GgufName].type;
  throw new TersorError(`type ${type} cannot be written to GGUF`, {
    tensor,
    remedy: `choose one of ${Object.keys(ggufFormats).join(', ')}`,
  });
}

function pad(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/** The first byte that was written never or twice, if any. */
function firstGap({ bytes, written }: Place): number | undefined {
  let end = 0;
  for (const [from, to] of written.toSorted((a, b) => a[0] - b[0])) {
    if (from !== end) return Math.min(from, end);
    end = to;
  }
  return end === bytes ? undefined : end;
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
