import { closeSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TersorError } from '../errors.js';

/** An array that waits for its next use. */
export interface Kept {
  /** Read from disk at each access, where it does not lie in memory. */
  readonly data: Float32Array;
  /** Makes room for others. */
  drop?(): void;
}

/** Keeps activations between two parts of a block: in memory as long as they fit, and on disk beyond. */
export interface Shelf {
  keep(data: Float32Array): Kept;
  /** Bytes that lie on disk at the moment. */
  readonly spilled: number;
  close(): void;
}

export interface ShelfOptions {
  /** Bytes that may lie in memory; all, unless told otherwise. */
  readonly bytes?: number;
  /** Where the file with what does not fit is made. */
  readonly folder?: string;
}

/**
 * All batches take their turn before the first comes again, so that there is none to prefer: who comes first stays in
 * memory. The file has no name once it is open, so that the system removes it however the process ends.
 */
export function createShelf({ bytes = Number.POSITIVE_INFINITY, folder }: ShelfOptions = {}): Shelf {
  let [inMemory, onDisk, end] = [0, 0, 0];
  let file: number | undefined;
  /** Places in the file that are free again, by their size. */
  const free = new Map<number, number[]>();

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
      get data() {
        const copy = new Float32Array(size / 4);
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
    keep(data) {
      if (folder && inMemory + data.byteLength > bytes) return spill(data);
      let held = data;
      inMemory += data.byteLength;
      return {
        get data() {
          return held;
        },
        drop() {
          inMemory -= held.byteLength;
          held = new Float32Array(); // whoever still knows the states must not keep the memory
        },
      };
    },
    get spilled() {
      return onDisk;
    },
    close() {
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
