import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';
import { openCheckpoint } from '../../src/checkpoint/open.js';
import { TersorError } from '../../src/errors.js';

/** A tensor as it goes into a safetensors file. */
export interface RawTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export const bytesOf = (data: ArrayBufferView): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

export const f32 = (shape: readonly number[], values: ArrayLike<number>): RawTensor => ({
  dtype: 'F32',
  shape,
  data: bytesOf(Float32Array.from(values)),
});

/** A safetensors file of header and data as they are given, right or wrong. */
export function rawSafetensors(header: string, data: Uint8Array = new Uint8Array()): Uint8Array {
  const text = new TextEncoder().encode(header);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(text.length), true);
  return new Uint8Array(Buffer.concat([length, text, data]));
}

export function safetensors(tensors: Readonly<Record<string, RawTensor>>): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  const data: Uint8Array[] = [];
  let end = 0;
  for (const [name, tensor] of Object.entries(tensors)) {
    const begin = end;
    end += tensor.data.length;
    header[name] = { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] };
    data.push(tensor.data);
  }
  return rawSafetensors(JSON.stringify(header), Buffer.concat(data));
}

/** Runs `body` with a temporary folder that holds the given files; objects are written as JSON. */
export async function withFolder<T>(
  files: Readonly<Record<string, Uint8Array | string | object>>,
  body: (folder: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'tersor-test-'));
  try {
    for (const [name, contents] of Object.entries(files)) {
      const path = join(folder, name);
      await mkdir(dirname(path), { recursive: true });
      const raw = typeof contents === 'string' || contents instanceof Uint8Array;
      await writeFile(path, raw ? contents : JSON.stringify(contents));
    }
    return await body(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Expects that the model cannot be opened, with an error of one line that matches. */
export async function refused(model: string, message: RegExp): Promise<void> {
  const failure = await openCheckpoint(model).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(TersorError);
  expect(String(failure)).toMatch(message);
  expect(String(failure)).not.toContain('\n');
}
