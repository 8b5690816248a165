import { open, rename } from 'node:fs/promises';
import {
  type ImportanceEntry,
  type ImportanceMatrix,
  imatrixKeys,
  meanSquares,
} from '../checkpoint/imatrix.js';
import { TersorError } from '../errors.js';
import { createGgufWriter } from './gguf.js';
import { checkOutput, temporaryPath } from './output.js';
import { createTensorWriter } from './tensor-writer.js';

/** The kinds of file, by extension. */
export const imatrixKinds = ['.gguf', '.dat'] as const;

/**
 * Makes sure, before any work, that an importance matrix can be written.
 * @throws TersorError when the name has another extension, or the folder is missing or not writable
 */
export async function checkImatrixOutput(path: string): Promise<void> {
  if (!imatrixKinds.some((kind) => path.endsWith(kind)))
    throw new TersorError('cannot tell what kind of importance matrix to write', {
      code: 'invalid-option',
      file: path,
      remedy: "give a name that ends in .gguf, or in .dat for llama.cpp's older kind",
    });
  await checkOutput(path);
}

/**
 * Writes an importance matrix as llama-imatrix does: a GGUF, or the older kind (`.dat`) that
 * src/checkpoint/imatrix.ts describes.
 * @returns bytes of the file
 */
export async function writeImatrix(path: string, matrix: ImportanceMatrix): Promise<number> {
  await checkImatrixOutput(path);
  // llama.cpp's order, so that the same matrix is the same file.
  const entries = [...matrix.entries].sort(([a], [b]) => (a < b ? -1 : 1));
  return path.endsWith('.gguf') ? writeGguf(path, matrix, entries) : writeLegacy(path, matrix, entries);
}

type Entries = readonly (readonly [name: string, entry: ImportanceEntry])[];

async function writeGguf(path: string, matrix: ImportanceMatrix, entries: Entries): Promise<number> {
  const { type, datasets, chunks, chunkSize, sums: ofSums, counts: ofCounts } = imatrixKeys;
  const parts = entries.flatMap(([name, { sums, counts }]) => {
    const experts = counts.length > 1 ? [counts.length] : [];
    return [
      { name: name + ofSums, shape: [...experts, sums.length / counts.length], data: sums },
      { name: name + ofCounts, shape: [...experts, 1], data: counts },
    ];
  });
  const writer = await createGgufWriter(path, {
    metadata: {
      'general.type': { type: 'string', value: type },
      [datasets]: { type: 'array', of: 'string', value: matrix.datasets },
      [chunks]: { type: 'u32', value: matrix.chunks },
      [chunkSize]: { type: 'u32', value: matrix.chunkSize },
    },
    tensors: parts.map(({ name, shape, data }) => ({ name, shape, type: 'f32', bytes: data.byteLength })),
  });
  try {
    for (const { name, data } of parts)
      await writer.write(name, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    await writer.finish();
  } finally {
    await writer.abort();
  }
  return writer.bytes;
}

async function writeLegacy(path: string, matrix: ImportanceMatrix, entries: Entries): Promise<number> {
  const whole = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value);
    return bytes;
  };
  const text = (value: string) => [whole(Buffer.byteLength(value)), Buffer.from(value)];
  const body = entries.flatMap(([name, entry]) => {
    // What llama.cpp calls calls are sequences, so that a sequence that was not full counts as one.
    const calls = Math.ceil(entry.counts.reduce((a, b) => Math.max(a, b), 0) / (matrix.chunkSize || 1));
    const values = meanSquares(entry).map((mean) => mean * calls);
    return [
      ...text(name),
      whole(calls),
      whole(values.length),
      Buffer.from(values.buffer, values.byteOffset, values.byteLength),
    ];
  });
  const header = Buffer.concat([
    whole(entries.length),
    ...body,
    whole(matrix.chunks),
    ...text(matrix.datasets.at(-1) ?? ''),
  ]);
  const temporary = temporaryPath(path);
  const output = {
    target: path,
    temporary,
    begin: () => open(temporary, 'w'),
    publish: () => rename(temporary, path),
  };
  const writer = await createTensorWriter(output, { header, tensors: [], bytes: header.length });
  await writer.finish();
  return header.length;
}
