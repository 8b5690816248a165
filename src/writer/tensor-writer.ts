import { rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { fileError, removeAbandoned, syncFolder } from './output.js';

/** Writes a model piece by piece; the target appears only when it is complete. */
export interface TensorWriter {
  /** Size of the finished weight file, or of all together. */
  readonly bytes: number;
  /**
   * Writes bytes of one tensor, in any order of tensors and pieces.
   * @param offset where in the tensor's data they begin
   * @throws TersorError when the disk is full or gone
   */
  write(name: string, bytes: Uint8Array, offset?: number): Promise<void>;
  /**
   * Makes sure that every byte is on the disk and gives the target its name.
   * @param check looks at the complete output before it takes the target's place; when it throws, nothing changes
   */
  finish(check?: (path: string) => Promise<void>): Promise<void>;
  /** Gives up: nothing stays behind. Harmless after `finish` and when repeated. */
  abort(): Promise<void>;
}

/** Where the data of the tensors of a file lie. */
export interface FilePlan {
  readonly header: Uint8Array;
  /** What else is known from the start, such as headers of single tensors. */
  readonly frames?: readonly { readonly position: number; readonly bytes: Uint8Array }[];
  readonly tensors: readonly { readonly name: string; readonly position: number; readonly bytes: number }[];
  /** Size of the file. */
  readonly bytes: number;
}

/** How an output comes to be. */
export interface OutputPlan {
  /** What was asked for, a file or folder. */
  readonly target: string;
  /** The file or folder that everything lies in until it is complete. */
  readonly temporary: string;
  /** Makes what is temporary, and the file for the tensors in it; several where there are several plans. */
  begin(): Promise<FileHandle | readonly FileHandle[]>;
  /** Gives what is temporary the name of the target. */
  publish(): Promise<void>;
}

interface Place {
  /** Which of the files. */
  readonly file: number;
  readonly position: number;
  readonly bytes: number;
  readonly written: [from: number, to: number][];
}

/** Begins a weight file of known layout, or the shards of one. Nothing but headers is held in memory. */
export async function createTensorWriter(
  { target, temporary, begin, publish }: OutputPlan,
  plan: FilePlan | readonly FilePlan[],
): Promise<TensorWriter> {
  const plans = [plan].flat();
  const places = new Map<string, Place>();
  for (const [file, { tensors }] of plans.entries()) {
    for (const { name, ...place } of tensors) {
      if (places.has(name)) throw new Error(`tensor ${name} is planned twice`);
      places.set(name, { ...place, file, written: [] });
    }
  }

  const removeTemporary = () => {
    try {
      rmSync(temporary, { recursive: true, force: true });
    } catch {
      // What could not be made (a name too long) cannot be removed; the first failure is the one to report.
    }
  };
  process.once('exit', removeTemporary);
  let files: readonly FileHandle[] = [];
  let state: 'writing' | 'done' = 'writing';
  const close = async () => {
    const open = files;
    files = [];
    for (const file of open) await file.close();
  };
  const leave = () => {
    process.off('exit', removeTemporary);
    state = 'done';
  };
  const abort = async () => {
    if (state === 'done') return;
    await close();
    removeTemporary();
    leave();
  };
  const guard = async (work: (files: readonly FileHandle[]) => Promise<void>) => {
    if (files.length === 0) throw new Error(`${target} is not being written any more`);
    try {
      await work(files);
    } catch (cause) {
      await abort();
      throw fileError(target, cause);
    }
  };

  try {
    await removeAbandoned(target);
    files = [await begin()].flat();
  } catch (cause) {
    await abort();
    throw fileError(target, cause);
  }
  await guard(async (open) => {
    for (const [index, { header, frames = [], bytes }] of plans.entries()) {
      const file = open[index];
      if (!file) throw new Error(`${plans.length} files are planned and ${open.length} open`);
      await file.truncate(bytes);
      await writeAll(file, header, 0);
      for (const frame of frames) await writeAll(file, frame.bytes, frame.position);
    }
  });
  return {
    bytes: plans.reduce((sum, { bytes }) => sum + bytes, 0),
    async write(name, data, offset = 0) {
      const place = places.get(name);
      if (!place) throw new Error(`tensor ${name} is not in the plan`);
      if (offset < 0 || offset + data.length > place.bytes)
        throw new Error(`tensor ${name}: bytes ${offset} to ${offset + data.length} of ${place.bytes}`);
      await guard(async (open) => {
        const file = open[place.file];
        if (file) await writeAll(file, data, place.position + offset);
      });
      place.written.push([offset, offset + data.length]);
    },
    async finish(check) {
      for (const [name, place] of places) {
        const gap = firstGap(place);
        if (gap === undefined) continue;
        await abort();
        throw new Error(`tensor ${name}: byte ${gap} was not written exactly once`);
      }
      await guard(async (open) => {
        for (const file of open) await file.sync();
        await check?.(temporary);
        await close();
        await publish();
        leave();
        await syncFolder(target);
      });
    },
    abort,
  };
}

/** The first byte that was written never or twice, if any. */
function firstGap({ bytes, written }: Place): number | undefined {
  let end = 0;
  for (const [from, to] of written.toSorted((a, b) => a[0] - b[0])) {
    if (from !== end) return Math.min(from, end);
    end = to;
  }
  return end === bytes ? undefined : end;
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}
