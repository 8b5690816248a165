import { type GgufCheckpoint, openGguf } from '../checkpoint/gguf/gguf.js';
import type { GgufValueType } from '../checkpoint/gguf/header.js';
import { TersorError } from '../errors.js';
import { createGgufWriter } from '../writer/gguf.js';
import { type Metadata, type MetadataValue, metadataType } from '../writer/metadata.js';

/** An open GGUF file, of which nothing but the header is in memory. */
export interface GgufFile extends Omit<GgufCheckpoint, 'metadata' | 'naming' | 'valueTypes'> {
  readonly format: 'gguf';
  /** Key-value pairs with their types, as `writeGguf` takes them. */
  readonly metadata: Metadata;
}

/**
 * Opens a GGUF file, version 2 or 3. Its tensors are read one by one: `read` decodes to f32, `readBytes` copies what is
 * stored. Call `close` in the end.
 * @throws TersorError when the file is not there, corrupt, truncated or a part of a split one
 */
export async function readGguf(path: string): Promise<GgufFile> {
  const { metadata, valueTypes, ...checkpoint } = await openGguf(path);
  const typed = Object.entries(metadata).map(([key, value]) => [
    key,
    typedValue(path, key, value, valueTypes.get(key)),
  ]);
  return { ...checkpoint, format: 'gguf', metadata: Object.fromEntries(typed) };
}

/** A tensor to write. */
export interface GgufTensor {
  readonly name: string;
  /** Outermost dimension first, as everywhere in tersor; the file has it the other way round. */
  readonly shape: readonly number[];
  /** A type of GGUF's, lower case: `f32`, `q4_k`, … */
  readonly type: string;
  readonly bytes: number;
  /** Its data, packed as the type demands; called when it is the tensor's turn. */
  data(): Uint8Array | Promise<Uint8Array>;
}

/**
 * Writes a GGUF file, version 3. One tensor's data are in memory at a time, and the file appears when it is complete.
 * @throws TersorError when it cannot be written, a type is unknown, or a tensor's data have another length than it says
 */
export async function writeGguf(
  path: string,
  { metadata, tensors }: { readonly metadata: Metadata; readonly tensors: readonly GgufTensor[] },
): Promise<void> {
  const writer = await createGgufWriter(path, { metadata, tensors });
  try {
    for (const { name, bytes, data } of tensors) {
      const stored = await data();
      if (stored.length !== bytes)
        throw new TersorError(`has ${stored.length} bytes of data in the place of ${bytes}`, {
          code: 'invalid-input',
          file: path,
          tensor: name,
          remedy: 'give as many as its shape and type take',
        });
      await writer.write(name, stored);
    }
    await writer.finish();
  } finally {
    await writer.abort();
  }
}

const typeNames = new Map(Object.entries(metadataType).map(([name, number]) => [number, name]));

function typedValue(file: string, key: string, value: unknown, stored?: GgufValueType): MetadataValue {
  const [type, of] = [stored?.type, stored?.of].map((number) => typeNames.get(number as never));
  if (!type || of === 'array')
    throw new TersorError(`has arrays of arrays in ${key}`, {
      code: 'unsupported',
      file,
      remedy: 'leave that key out; nobody reads it',
    });
  return { type, ...(type === 'array' ? { of } : {}), value } as MetadataValue;
}
