import { rmSync } from 'node:fs';
import { type FileHandle, open, readdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { isCompanion } from '../checkpoint/file.js';
import { configName } from '../checkpoint/safetensors.js';
import { preambleBytes, type StackHeader, stackMagic, stackVersion } from '../checkpoint/stack/header.js';
import { fileError, temporaryPath } from './output.js';
import { createTensorWriter } from './tensor-writer.js';

/** Where a slice waits until its place in the file is known. */
export interface SpooledSlice {
  readonly position: number;
  readonly bytes: number;
}

/** A slice at its place in the list of a header. */
export interface PlacedSlice extends SpooledSlice {
  /** As the header has it, without the bytes. */
  readonly entry: readonly [tensor: number, refinement: number, from: number, to: number];
}

/** Writes a stacked model (src/checkpoint/stack/header.ts), whose order is known only when all slices are. */
export interface StackWriter {
  /** Puts a slice aside. */
  add(bytes: Uint8Array): Promise<SpooledSlice>;
  /** Writes the file with slices in this order; it appears only when it is complete. */
  finish(header: Omit<StackHeader, 'slices'>, slices: readonly PlacedSlice[]): Promise<void>;
  /** Gives up: nothing stays behind. Harmless after `finish` and when repeated. */
  abort(): Promise<void>;
}

/**
 * Begins a stacked model. Slices wait in a file beside the output, so that none of them is held in memory.
 * @throws TersorError when the disk is full or the folder not writable
 */
export async function createStackWriter(target: string): Promise<StackWriter> {
  const temporary = temporaryPath(target);
  const spoolPath = `${temporary}.slices`;
  const remove = () => rmSync(spoolPath, { force: true });
  const spool = await guarded(target, open(spoolPath, 'w+'));
  process.once('exit', remove);
  let end = 0;
  let closed = false;
  const abort = async () => {
    if (closed) return;
    closed = true;
    await spool.close();
    remove();
    process.off('exit', remove);
  };
  return {
    async add(bytes) {
      const position = end;
      end += bytes.length;
      await guarded(target, spool.write(bytes, 0, bytes.length, position));
      return { position, bytes: bytes.length };
    },
    async finish(header, slices) {
      const first = encodeHeader(header, slices);
      let offset = first.length;
      const tensors = slices.map(({ bytes }, index) => {
        offset += bytes;
        return { name: `${index}`, position: offset - bytes, bytes };
      });
      const plan = {
        target,
        temporary,
        begin: () => open(temporary, 'w'),
        publish: () => rename(temporary, target),
      };
      const writer = await createTensorWriter(plan, { header: first, tensors, bytes: offset });
      try {
        for (const [index, slice] of slices.entries())
          await writer.write(`${index}`, await readBack(spool, slice));
        await writer.finish();
      } finally {
        await writer.abort();
        await abort();
      }
    },
    abort,
  };
}

/** Bytes of preamble and header. */
export const stackHeaderBytes = (
  header: Omit<StackHeader, 'slices'>,
  slices: readonly PlacedSlice[],
): number => encodeHeader(header, slices).length;

function encodeHeader(header: Omit<StackHeader, 'slices'>, slices: readonly PlacedSlice[]): Uint8Array {
  const listed = slices.map(({ entry, bytes }) => [...entry, bytes]);
  const packed = deflateRawSync(JSON.stringify({ ...header, slices: listed }), { level: 9 });
  const bytes = new Uint8Array(preambleBytes + packed.length);
  bytes.set(new TextEncoder().encode(stackMagic));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, stackVersion, true);
  view.setUint32(12, packed.length, true);
  bytes.set(packed, preambleBytes);
  return bytes;
}

/** The tokenizer's files of a model, as a header keeps them; JSON without its white space. */
export async function companionFiles(
  { companions }: Pick<Checkpoint, 'companions'>,
  folder: string,
): Promise<StackHeader['files']> {
  const files: Record<string, StackHeader['files'][string]> = {};
  const names = companions ? [...companions.keys()] : await readdir(folder);
  for (const name of names.filter((each) => isCompanion(each) && each !== configName).sort()) {
    const bytes = companions?.get(name) ?? (await readFile(join(folder, name)));
    files[name] = contentOf(name, bytes);
  }
  return files;
}

function contentOf(name: string, bytes: Uint8Array): StackHeader['files'][string] {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    // A key `__proto__`, which may be a token, would be lost by parsing.
    return name.endsWith('.json') && !text.includes('__proto__') ? JSON.stringify(JSON.parse(text)) : text;
  } catch {
    return { base64: Buffer.from(bytes).toString('base64') };
  }
}

async function readBack(spool: FileHandle, { position, bytes }: SpooledSlice): Promise<Uint8Array> {
  const data = new Uint8Array(bytes);
  for (let done = 0; done < bytes; ) {
    const { bytesRead } = await spool.read(data, done, bytes - done, position + done);
    if (bytesRead === 0) throw new Error('the spool of slices ends early');
    done += bytesRead;
  }
  return data;
}

const guarded = <T>(target: string, work: Promise<T>): Promise<T> =>
  work.catch((cause) => {
    throw fileError(target, cause);
  });
