import { TersorError } from '../errors.js';
import {
  type ArgumentsOf,
  type FieldsOf,
  type KernelName,
  type KernelRecord,
  passed,
  type RecordName,
  type ResultOf,
  type RowKernel,
  type SingleKernel,
  writeRecord,
} from './arguments.js';
import { hash, kernels, largestRecord, records } from './signatures.js';

/**
 * The WebAssembly kernels on one shared memory, with threads.
 *
 * What a kernel takes is named as in assembly/. Kernels that work on rows (of the *weight*, that is outputs) are called by
 * `parallel`: rows are independent given H, so that they are split over threads without changing any result.
 * Matrices that kernels work on are panels: column-major over rows (element (row, col) at `col * rows + row`),
 * with the number of rows padded to a multiple of four, so that a SIMD vector holds four rows of one column.
 */
export interface Kernels {
  readonly threads: number;
  /** Arrays made inside the callback are released together when it ends. Scopes nest. */
  scope<T>(body: (arena: Arena) => Promise<T> | T): Promise<T>;
  /** Calls a kernel once on this thread and returns its result. */
  call<K extends SingleKernel>(name: K, values: ArgumentsOf<K>): ResultOf<K>;
  /** Splits rows [0, rows) over the threads in multiples of sixteen; returns when all are done. */
  parallel<K extends RowKernel>(name: K, rows: number, values: ArgumentsOf<K>): void;
  close(): void;
}

/**
 * Allocates arrays in the kernels' memory, 64-byte aligned; all but `scratch` are zeroed, unless what is in them is to be
 * overwritten anyway (`asLeft`). Throws once its scope has ended,
 * and while a scope inside it is open, which would release the array too early.
 */
export interface Arena {
  f32(length: number, content?: Content): Float32Array;
  f64(length: number): Float64Array;
  i32(length: number): Int32Array;
  u8(length: number, content?: Content): Uint8Array;
  u16(length: number): Uint16Array;
  /**
   * Bytes as they were left, for kernels that write before they read. Of what is there for every row each thread uses
   * what belongs to its first rows only; pages that are never touched take no memory.
   */
  scratch(length: number): Uint8Array;
  /** A record that other records point to. */
  record<Name extends RecordName>(name: Name, fields: FieldsOf<Name>): KernelRecord<Name>;
}

/** What an array holds at first: zeros, or what was there before. */
export type Content = 'zeros' | 'asLeft';

const pageBytes = 65536;
const maximumPages = 65536; // 4 GiB: all that 32-bit addresses reach

type Exported = (...values: number[]) => number;

/** Compiled kernels on a memory of their own, without threads: the part of Kernels that every platform shares. */
export interface Instance extends Pick<Kernels, 'scope' | 'call'> {
  readonly memory: WebAssembly.Memory;
  find(name: KernelName): Exported;
  /** The numbers to call a kernel with; a record among them is valid until the next call. */
  passed<K extends KernelName>(name: K, values: ArgumentsOf<K>): readonly number[];
}

/** @throws Error when the kernels were compiled from other signatures */
export function instantiate(module: WebAssembly.Module): Instance {
  const [carried] = WebAssembly.Module.customSections(module, 'signatures');
  if (!carried || new TextDecoder().decode(carried) !== hash)
    throw new Error('the compiled kernels and their signatures differ; run npm run build:kernels');
  const memory = new WebAssembly.Memory({ initial: 256, maximum: maximumPages, shared: true });
  const instance = new WebAssembly.Instance(module, { env: { memory, abort: () => {} } });
  const exports = instance.exports as Record<KernelName | 'heapBase', Exported>;
  // Calls are over before the next begins: one place serves all their records.
  const recordAt = align(exports.heapBase());
  const bottom = align(recordAt + largestRecord);
  const view = new DataView(memory.buffer, 0, bottom);
  const pass: Instance['passed'] = (name, values) => passed(view, recordAt, name, values);
  const { scope } = scopes(memory, bottom);
  return {
    memory,
    find: (name) => exports[name],
    passed: pass,
    scope,
    call: (name, values) => {
      const result = exports[name](...pass(name, values));
      return (kernels[name].result === 'bool' ? result !== 0 : result) as ResultOf<typeof name>;
    },
  };
}

/** Scopes on a memory, which is handed out from the bottom up. */
function scopes(memory: WebAssembly.Memory, bottom: number): Pick<Kernels, 'scope'> {
  let top = bottom;
  const open: { readonly arena: Arena; mark: number }[] = [];

  const allocate = (bytes: number): number => {
    const start = top;
    top = align(start + bytes);
    const missing = top - memory.buffer.byteLength;
    if (missing > 0) {
      try {
        memory.grow(Math.ceil(missing / pageBytes));
      } catch (cause) {
        top = start;
        throw new TersorError(`a layer needs ${bytes} bytes more than WebAssembly's 4 GiB allow`, {
          code: 'no-memory',
          cause,
        });
      }
    }
    return start;
  };

  const createArena = (): Arena => {
    // The address comes first: growing replaces memory.buffer.
    const place = <T>(
      make: (buffer: ArrayBufferLike, at: number) => T,
      bytes: number,
      content: Content = 'zeros',
    ): T => {
      if (open.at(-1)?.arena !== arena)
        throw new Error(
          open.some((each) => each.arena === arena)
            ? 'an arena cannot allocate while a scope inside its own is open; use the inner arena'
            : 'an arena cannot allocate when its scope has ended',
        );
      const at = allocate(bytes);
      if (content === 'zeros') new Uint8Array(memory.buffer, at, bytes).fill(0);
      return make(memory.buffer, at);
    };
    const arena: Arena = {
      f32: (length, content) =>
        place((buffer, at) => new Float32Array(buffer, at, length), length * 4, content),
      f64: (length) => place((buffer, at) => new Float64Array(buffer, at, length), length * 8),
      i32: (length) => place((buffer, at) => new Int32Array(buffer, at, length), length * 4),
      u8: (length, content) => place((buffer, at) => new Uint8Array(buffer, at, length), length, content),
      scratch: (length) => place((buffer, at) => new Uint8Array(buffer, at, length), length, 'asLeft'),
      u16: (length) => place((buffer, at) => new Uint16Array(buffer, at, length), length * 2),
      record(name, fields) {
        const { bytes } = records[name];
        const own = place((buffer, at) => new DataView(buffer, at, bytes), bytes);
        writeRecord(own, 0, name, fields);
        return { name, address: own.byteOffset, set: (some) => writeRecord(own, 0, name, some) };
      },
    };
    return arena;
  };

  return {
    async scope(body) {
      const own = { arena: createArena(), mark: top };
      open.push(own);
      let failed = true;
      try {
        const result = await body(own.arena);
        failed = false;
        return result;
      } finally {
        const index = open.indexOf(own);
        const inside = open[index + 1];
        open.splice(index, 1);
        if (!inside) top = own.mark;
        else {
          // What this scope cannot release the one inside it will.
          inside.mark = own.mark;
          // An error of the body says more than what it left open.
          if (!failed) leftOpen();
        }
      }
    },
  };
}

function leftOpen(): never {
  throw new Error('a scope ended while one inside it was open; wait for the inner one');
}

const align = (offset: number) => Math.ceil(offset / 64) * 64;
