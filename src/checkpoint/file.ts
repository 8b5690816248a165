import type { Hash } from 'node:crypto';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { TersorError } from '../errors.js';
import { getIntact } from './intact.js';
import { poolingName } from './pooling.js';

export { getIntact };

const companions =
  /^((generation_)?config|special_tokens_map|added_tokens|vocab)\.json$|^tokenizer[\w.-]*$|^merges\.txt$|^chat_template\.jinja$/;

/** Is this the name of a file that a Hugging Face folder has besides weights: configuration or tokenizer? */
export const isCompanion = (name: string): boolean => companions.test(name) || name === poolingName;

/** A file read piece by piece. */
export interface RangedFile {
  readonly path: string;
  /** Bytes when it was opened. */
  readonly size: number;
  /**
   * Fills `target` with the bytes that start at `offset`.
   * @param tensor whose bytes they are, for the error
   * @throws TersorError when the file ends before
   */
  read(offset: number, target: Uint8Array, tensor?: string): Promise<void>;
  close(): Promise<void>;
}

/** Bytes in memory, read as if they were a file. */
export function memoryFile(path: string, bytes: Uint8Array): RangedFile {
  return {
    path,
    size: bytes.length,
    async read(offset, target) {
      target.set(bytes.subarray(offset, offset + target.length));
    },
    close: async () => {},
  };
}

/** @throws TersorError when the file does not exist or cannot be read */
async function openRanged(path: string): Promise<RangedFile> {
  const handle = await reading(path, open(path, 'r'));
  try {
    const { size } = await reading(path, handle.stat());
    return {
      path,
      size,
      read: (offset, target, tensor) => fill({ path, handle, tensor }, offset, target),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function fill(
  { path, handle, tensor }: { path: string; handle: FileHandle; tensor: string | undefined },
  offset: number,
  target: Uint8Array,
): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const { bytesRead } = await reading(path, handle.read(target, done, target.length - done, offset + done));
    if (bytesRead === 0) {
      const [end, wanted] = [offset + done, offset + target.length];
      throw new TersorError(`the file ends at byte ${end}, before the byte ${wanted} that it should have`, {
        file: path,
        tensor,
        remedy: getIntact,
      });
    }
    done += bytesRead;
  }
}

/**
 * Opens files for a reader of headers, and closes them again when it fails.
 * @param read gets a function that opens one file
 */
export async function withFiles<T>(
  read: (open: (path: string) => Promise<RangedFile>) => Promise<T>,
): Promise<T> {
  const opened: RangedFile[] = [];
  try {
    return await read(async (path) => {
      const file = await openRanged(path);
      opened.push(file);
      return file;
    });
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}

/** Bytes of a file that are read and hashed at a time. */
const hashedBytes = 1 << 23;
/** Adds all bytes of files to a hash, a part at a time. */
export async function hashFiles(hash: Hash, files: readonly RangedFile[]): Promise<void> {
  for (const file of files) {
    for (let from = 0; from < file.size; from += hashedBytes) {
      const part = new Uint8Array(Math.min(hashedBytes, file.size - from));
      await file.read(from, part);
      hash.update(part);
    }
  }
}

/** Contents of a JSON file whose top level is an object. Keys named `__proto__` are dropped. */
export async function readJsonObject(path: string, remedy: string): Promise<Record<string, unknown>> {
  return parseJsonObject(await reading(path, readFile(path, 'utf8'), remedy), path, remedy);
}

/** @param remedy what to do when the text is not a JSON object */
export function parseJsonObject(text: string, file: string, remedy: string): Record<string, unknown> {
  let value: unknown;
  try {
    // A `__proto__` key would become the prototype of whatever a later assignment copies it to.
    value = JSON.parse(text, (key, entry: unknown) => (key === '__proto__' ? undefined : entry));
  } catch (cause) {
    throw new TersorError('is not valid JSON', { file, remedy, cause });
  }
  if (!isObject(value)) throw new TersorError('is not a JSON object', { file, remedy });
  return value;
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The operating system's refusals as errors that name the file. */
async function reading<T>(file: string, operation: Promise<T>, remedy?: string): Promise<T> {
  try {
    return await operation;
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown error';
    const problem =
      code === 'ENOENT'
        ? 'does not exist'
        : code === 'EACCES' || code === 'EPERM'
          ? 'may not be read'
          : `cannot be read (${code})`;
    throw new TersorError(problem, {
      file,
      remedy: remedy ?? (code === 'ENOENT' ? 'check the path' : 'check its permissions'),
      cause,
    });
  }
}
