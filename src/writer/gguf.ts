import { open, rename } from 'node:fs/promises';
import type { TensorInfo } from '../checkpoint/checkpoint.js';
import { TersorError } from '../errors.js';
import { type GgufName, ggufFormats } from '../grid/gguf/gguf.js';
import { createCounter, createFiller, type Metadata, putPair, type Sink } from './metadata.js';
import { checkOutput, temporaryPath } from './output.js';
import { createTensorWriter, type FilePlan, type TensorWriter } from './tensor-writer.js';

const MAGIC = 0x46554747; // 'GGUF', little-endian
const VERSION = 3;
/** What readers assume without the key `general.alignment`. */
export const ggufAlignment = 32;
/** ggml keeps tensor names in char[64], the terminating zero included. */
const MAX_NAME_BYTES = 63;

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
): Promise<TensorWriter> {
  await checkOutput(path);
  const temporary = temporaryPath(path);
  const output = {
    target: path,
    temporary,
    begin: () => open(temporary, 'w'),
    publish: () => rename(temporary, path),
  };
  return createTensorWriter(output, planFile(plan.metadata, plan.tensors));
}

function planFile(metadata: Metadata, tensors: readonly TensorInfo[]): FilePlan {
  const header = Buffer.alloc(headerBytes(metadata, tensors));
  putHeader(createFiller(header), metadata, tensors);
  let end = header.length;
  const places = tensors.map(({ name, bytes }) => {
    const position = end;
    end += pad(bytes);
    return { name, position, bytes };
  });
  return { header, tensors: places, bytes: end };
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
        code: 'unsupported',
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
    code: 'unsupported',
    tensor,
    remedy: `choose one of ${Object.keys(ggufFormats).join(', ')}`,
  });
}

function pad(bytes: number): number {
  return Math.ceil(bytes / ggufAlignment) * ggufAlignment;
}
