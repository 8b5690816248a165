import { copyFile, mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoint, TensorInfo } from '../checkpoint/checkpoint.js';
import {
  codesSuffix,
  compressedFormat,
  plainTypes,
  type TableEntry,
  tensorTableKey,
} from '../checkpoint/compressed.js';
import { getIntact, readJsonObject } from '../checkpoint/file.js';
import { configName, readSafetensorsMetadata, weightsName } from '../checkpoint/safetensors.js';
import { checkFolder, copyCompanions, replaceFolder, requireConfig, writeJson } from './folder.js';
import { temporaryPath } from './output.js';
import { createTensorWriter, type FilePlan, type TensorWriter } from './tensor-writer.js';

/** The reference implementation pads headers with spaces to a multiple of this. */
const headerAlignment = 8;

/** A tensor to be written, under Hugging Face's name. */
export interface SafetensorsTensor extends TensorInfo {
  /** The shape is [out, in] where Hugging Face keeps [in, out]. */
  readonly transposed?: boolean;
}

export interface SafetensorsPlan {
  /** The original: its configuration and tokenizer files go into the folder. */
  readonly source: Pick<Checkpoint, 'path' | 'folder' | 'format' | 'naming' | 'metadata'>;
  /** Where the tokenizer's files lie, when not with the weights. */
  readonly tokenizer?: string;
  /** Provenance, for `__metadata__`. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly SafetensorsTensor[];
}

/** The exact size in bytes of the weight file that `createSafetensorsWriter` makes of the same arguments. */
export function safetensorsSize({
  metadata,
  tensors,
}: Pick<SafetensorsPlan, 'metadata' | 'tensors'>): number {
  return planFile(metadata, tensors).bytes;
}

/**
 * Begins a folder with a model in tersor's own layout (src/checkpoint/compressed.ts): config.json, the
 * tokenizer's files, and model.safetensors, in which f32, f16 and bf16 tensors are ordinary ones and those on any
 * other grid are `<name>.codes`. Bytes are written under the tensors' own names. Everything lies in a temporary
 * folder beside the target, which takes its place when it is complete; nothing but the header is held in memory.
 * @throws TersorError when there is no configuration to copy, the parent is missing or not writable, or the target
 *   exists and is neither empty nor such a folder
 */
export async function createSafetensorsWriter(target: string, plan: SafetensorsPlan): Promise<TensorWriter> {
  const { source, tokenizer = source.folder, metadata, tensors } = plan;
  await checkOutputFolder(target);
  requireConfig(source, 'a folder of safetensors');
  const temporary = temporaryPath(target);
  const output = {
    target,
    temporary,
    async begin() {
      await mkdir(temporary);
      await copyCompanions(tokenizer, temporary);
      const config = join(temporary, configName);
      const original = join(source.folder, configName);
      if (source.format === 'safetensors' && !(await isOutdated(original, source.metadata)))
        await copyFile(original, config);
      else await writeJson(config, source.metadata);
      return open(join(temporary, weightsName), 'w');
    },
    publish: () => replaceFolder(temporary, target),
  };
  return createTensorWriter(output, planFile(metadata, tensors));
}

/**
 * Makes sure, before any work, that the folder can be written.
 * @throws TersorError as `checkFolder` does
 */
export const checkOutputFolder = (path: string): Promise<void> =>
  checkFolder(path, async (names) => {
    const metadata = await readSafetensorsMetadata(join(path, weightsName)).catch(() => undefined);
    return names.every((name) => name === weightsName) && metadata?.format === compressedFormat;
  });

/** Whether a configuration says of weights that they are quantized, which they were and are presented without. */
async function isOutdated(path: string, metadata: Checkpoint['metadata']): Promise<boolean> {
  const key = 'quantization_config';
  return key in (await readJsonObject(path, getIntact)) && !(key in metadata);
}

function planFile(provenance: SafetensorsPlan['metadata'], tensors: SafetensorsPlan['tensors']): FilePlan {
  const coded = ({ type, transposed }: SafetensorsTensor) => !plainTypes[type] || transposed === true;
  const table: Record<string, TableEntry> = {};
  for (const tensor of tensors.filter(coded)) {
    const { name, type, shape, transposed } = tensor;
    table[name] = { type, shape, ...(transposed ? { transposed } : {}) };
  }
  const metadata = {
    format: compressedFormat,
    ...provenance,
    [tensorTableKey]: JSON.stringify(table),
  };
  const entries = tensors.map((tensor) => {
    const { name, type, shape, bytes } = tensor;
    return coded(tensor)
      ? { name, bytes, entry: name + codesSuffix, dtype: 'U8', shape: [bytes] }
      : { name, bytes, entry: name, dtype: plainTypes[type] ?? '', shape };
  });
  return placeTensors(metadata, entries);
}

/** A tensor on its way into a safetensors file. */
export interface SafetensorsEntry {
  /** What its writer calls it. */
  readonly name: string;
  /** What the file calls it. */
  readonly entry: string;
  /** Safetensors' own. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/** Bytes of one number; of those that are not here, two. */
const widths: Readonly<Record<string, number>> = { I64: 8, I32: 4, F32: 4, U8: 1 };

/** A file of these tensors. Wide numbers come first: all are aligned, without the padding that is not allowed. */
export function placeTensors(
  metadata: Readonly<Record<string, string>>,
  entries: readonly SafetensorsEntry[],
): FilePlan {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let end = 0;
  const places = entries
    .toSorted((a, b) => (widths[b.dtype] ?? 2) - (widths[a.dtype] ?? 2))
    .map(({ name, entry, dtype, shape, bytes }) => {
      header[entry] = { dtype, shape, data_offsets: [end, end + bytes] };
      end += bytes;
      return { name, position: end - bytes, bytes };
    });
  const bytes = safetensorsHeader(header);
  return {
    header: bytes,
    tensors: places.map((place) => ({ ...place, position: place.position + bytes.length })),
    bytes: bytes.length + end,
  };
}

/** A header as bytes of a file: its length, then JSON, padded with spaces. */
function safetensorsHeader(header: Readonly<Record<string, unknown>>): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const length = Math.ceil(text.length / headerAlignment) * headerAlignment;
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length));
  bytes.set(text, 8);
  return bytes;
}
