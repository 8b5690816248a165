import { createHash, randomUUID } from 'node:crypto';
import { constants, rmSync } from 'node:fs';
import { access, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cacheRoot, makeFolder } from '../../checkpoint/folder.js';
import { TersorError } from '../../errors.js';
import { fileError } from '../../writer/output.js';
import type { CompressOptions } from '../options.js';

/**
 * Results that took long to compute, by what they were computed from. Whoever asks for the same thing again, after a
 * crash, with another budget, in another process, gets it from here. An entry that is corrupt counts as absent.
 */
export interface Store {
  readonly folder: string;
  get(key: string): Promise<Uint8Array | undefined>;
  /** @throws TersorError when the disk is full or the folder not writable */
  put(key: string, value: Uint8Array): Promise<void>;
  /** Forgets an entry that nobody will ask for again. */
  drop(key: string): Promise<void>;
}

/** Where results are kept unless the caller names a folder. */
export const defaultStoreFolder = join(cacheRoot(), 'store');

/**
 * A folder in which something can be kept during a job. What cannot be made or written is replaced by the system's folder
 * for temporary files, unless the caller named it for results to be kept in.
 * @throws TersorError for a named folder that cannot be made or written
 */
export async function usableStoreFolder({
  store: named,
  resume = true,
}: Pick<CompressOptions, 'store' | 'resume'>): Promise<string> {
  const folder = named ?? defaultStoreFolder;
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK);
    return folder;
  } catch (cause) {
    if (named === undefined || !resume) return tmpdir();
    throw new TersorError('nothing can be kept in this folder', {
      file: named,
      remedy: 'give another --store, or --no-resume',
      cause,
    });
  }
}

/** Entries beyond this many bytes are thrown away, the longest unused first. */
export const defaultCapacity = 8e9;
/** An entry that is not complete after so many milliseconds never will be: its process was ended. */
const abandonedAfter = 3600e3;
/** Bytes of the SHA-256 in front of every entry's value. */
const digestBytes = 32;

/**
 * Opens the store in a folder, which is made when the first entry comes. Every entry is a file of its own that is
 * written under another name and renamed, so that two processes on one store do no harm to each other.
 */
export async function openStore(folder: string, capacity = defaultCapacity): Promise<Store> {
  await evict(folder, capacity);
  return {
    folder,
    async get(key) {
      const path = join(folder, key);
      const content = await readFile(path).catch(() => undefined);
      if (!content || content.length < digestBytes) return undefined;
      const value = content.subarray(digestBytes);
      if (!digest(value).equals(content.subarray(0, digestBytes))) return undefined;
      const now = new Date();
      await utimes(path, now, now).catch(() => {}); // another process may have thrown it away
      return value;
    },
    async put(key, value) {
      const path = join(folder, key);
      const temporary = `${path}.tmp-${randomUUID()}`;
      const remove = () => rmSync(temporary, { force: true });
      process.once('exit', remove); // a second Ctrl-C waits for nothing
      try {
        await makeFolder(folder);
        const file = await open(temporary, 'w');
        try {
          await file.writev([digest(value), value]);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path);
      } catch (cause) {
        remove();
        throw fileError(path, cause);
      } finally {
        process.off('exit', remove);
      }
    },
    drop: (key) => rm(join(folder, key), { force: true }),
  };
}

/** The name of a result: a hash of everything that it depends on. */
export function keyOf(...parts: readonly (string | Uint8Array | Float32Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) {
    const bytes =
      typeof part === 'string'
        ? new TextEncoder().encode(part)
        : new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
    // The length goes first, so that no two lists of parts run together into the same bytes.
    hash.update(`${bytes.length} `).update(bytes);
  }
  return hash.digest('hex');
}

/** A double as it stands at the beginning of an entry. */
export function numberBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  return bytes;
}

// An entry is a view into a file's bytes: its buffer begins with what lies before it.
export function readNumber({ buffer, byteOffset }: Uint8Array): number {
  return new DataView(buffer, byteOffset, 8).getFloat64(0, true);
}

const digest = (value: Uint8Array): Buffer => createHash('sha256').update(value).digest();

/** What a store holds. */
export interface StoreSize {
  readonly folder: string;
  readonly entries: number;
  readonly bytes: number;
}

/** Counts the entries of a store; other files of the folder are none of them. */
export async function measureStore(folder: string = defaultStoreFolder): Promise<StoreSize> {
  const sizes = await Promise.all(
    (await entriesIn(folder)).map((path) =>
      stat(path).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  );
  return { folder, entries: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) };
}

/** Removes all entries of a store, those that processes did not finish included, and nothing else. */
export async function emptyStore(folder: string = defaultStoreFolder): Promise<StoreSize> {
  const before = await measureStore(folder);
  for (const path of await entriesIn(folder)) await rm(path, { force: true });
  return before;
}

/** Keys are SHA-256 in hexadecimal digits. */
const entryName = /^[0-9a-f]{64}(\.tmp-.*)?$/;

async function entriesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => entryName.test(name)).map((name) => join(folder, name));
}

async function evict(folder: string, capacity: number): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  const entries = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const about = await stat(path).catch(() => undefined);
      const abandoned = name.includes('.tmp-') && Date.now() - (about?.mtimeMs ?? 0) > abandonedAfter;
      return { path, bytes: about?.size ?? 0, used: abandoned ? 0 : (about?.mtimeMs ?? 0), abandoned };
    }),
  );
  let excess = entries.reduce((sum, { bytes }) => sum + bytes, 0) - capacity;
  for (const { path, bytes, abandoned } of entries.sort((a, b) => a.used - b.used)) {
    if (excess <= 0 && !abandoned) break;
    await rm(path, { force: true });
    excess -= bytes;
  }
}
