import { closeSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TersorError } from '../errors.js';

/** An array that waits for its next use. */
export interface Kept {
  /** Where it lies on disk, it is read at each access, into an array that may be given back to the cache. */
  readonly data: Float32Array;
  readonly onDisk?: boolean;
  /** Makes room for others; who still has the array must not use it any more. */
  drop?(): void;
}

/** Keeps activations between two parts of a block: in memory as long as they fit, and on disk beyond. */
export interface ActivationCache {
  keep(data: Float32Array): Kept;
  /** An array of so many floats, whatever they are: one that nobody needs any more, if there is such. */
  take(length: number): Float32Array;
  /** Of an array that does not lie in the activation cache: nobody needs it any more. */
  give(data: Float32Array): void;
  /** Bytes that lie on disk at the moment. */
  readonly spilled: number;
  close(): void;
}

export interface ActivationCacheOptions {
  /** Bytes that may lie in memory; all, unless told otherwise. */
  readonly bytes?: number;
  /** Where the file with what does not fit is made. */
  readonly folder?: string;
}

/** So many idle arrays of a length are kept even where memory is short: what one step takes and gives back. */
const leastIdle = 2;

/**
 * All batches take their turn before the first comes again, so that there is none to prefer: who comes first stays in
 * memory. Arrays are used again, because fresh ones for every batch pile up until the garbage is collected. The file has
 * no name once it is open, so that the system removes it however the process ends.
 */
export function createActivationCache({
  bytes = Number.POSITIVE_INFINITY,
  folder,
}: ActivationCacheOptions = {}): ActivationCache {
  let [inMemory, idleBytes, onDisk, end] = [0, 0, 0, 0];
  let file: number | undefined;
  /** Arrays that nobody needs, by their length. */
  const idle = new Map<number, Float32Array[]>();
  /** Places in the file that are free again, by their size. */
  const free = new Map<number, number[]>();

  const take = (length: number): Float32Array => {
    const found = idle.get(length)?.pop();
    if (found) idleBytes -= found.byteLength;
    return found ?? new Float32Array(length);
  };
  const give = (data: Float32Array): void => {
    const others = idle.get(data.length) ?? [];
    if (others.length >= leastIdle && inMemory + idleBytes + data.byteLength > bytes) return;
    idle.set(data.length, [...others, data]);
    idleBytes += data.byteLength;
  };
  /** Idle arrays go before one that is in use goes to disk. */
  const fits = ({ byteLength }: Float32Array): boolean => {
    if (inMemory + idleBytes + byteLength > bytes) {
      idle.clear();
      idleBytes = 0;
    }
    return inMemory + byteLength <= bytes;
  };

  const spill = (data: Float32Array): Kept => {
    const size = data.byteLength;
    file ??= openNameless(folder);
    const descriptor = file;
    const places = free.get(size) ?? [];
    free.set(size, places);
    const place = places.pop() ?? end;
    if (place === end) end += size;
    transfer(writeSync, descriptor, data, place, folder);
    onDisk += size;
    return {
      onDisk: true,
      get data() {
        const copy = take(size / 4);
        transfer(readSync, descriptor, copy, place, folder);
        return copy;
      },
      drop() {
        places.push(place);
        onDisk -= size;
      },
    };
  };
  return {
    take,
    give,
    keep(data) {
      if (folder && !fits(data)) return spill(data);
      let held = data;
      inMemory += data.byteLength;
      return {
        get data() {
          return held;
        },
        drop() {
          inMemory -= held.byteLength;
          if (held.length > 0) give(held);
          held = new Float32Array(); // whoever still knows the states must not keep the memory
        },
      };
    },
    get spilled() {
      return onDisk;
    },
    close() {
      idle.clear();
      idleBytes = 0;
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

function openNameless(folder = '.'): number {
  const path = join(folder, `activations.tmp-${process.pid}`);
  try {
    mkdirSync(folder, { recursive: true });
    const file = openSync(path, 'w+');
    unlinkSync(path);
    return file;
  } catch (cause) {
    throw trouble(folder, cause);
  }
}

/** Fills or writes the whole array, however little the system takes at a time. */
function transfer(
  move: (file: number, bytes: Uint8Array, offset: number, length: number, position: number) => number,
  file: number,
  { buffer, byteOffset, byteLength }: Float32Array,
  position: number,
  folder: string | undefined,
): void {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  try {
    for (let done = 0; done < byteLength; ) {
      const moved = move(file, bytes, done, byteLength - done, position + done);
      if (moved === 0) throw new Error('the file ends too early');
      done += moved;
    }
  } catch (cause) {
    throw trouble(folder, cause);
  }
}

const trouble = (folder: string | undefined, cause: unknown) =>
  new TersorError(
    `activations that memory does not hold cannot be kept here (${cause instanceof Error ? cause.message : cause})`,
    { file: folder, remedy: 'free some space, give another --store, more --memory or fewer --tokens', cause },
  );
