import { TersorError } from '../errors.js';
import { isShared } from './shared.js';

/** A kernel's argument: a number, or an array that lives in the kernels' memory and is passed by address. */
export type KernelArgument = number | ArrayBufferView;

/**
 * The WebAssembly kernels on one shared memory, with threads.
 *
 * Convention of all parallel kernels: the first two arguments are a range of rows (of the *weight*, that is
 * outputs), so that rows, which are independent given H, are split over threads without changing any result.
 * Matrices that kernels work on are panels: column-major over rows (element (row, col) at `col * rows + row`),
 * with the number of rows padded to a multiple of four, so that a SIMD vector holds four rows of one column.
 */
export interface Kernels {
  readonly threads: number;
  /** Arrays made inside the callback are released together when it ends. Scopes nest. */
  scope<T>(body: (arena: Arena) => Promise<T> | T): Promise<T>;
  /** Calls an export once on this thread and returns its result. */
  call(name: string, ...args: KernelArgument[]): number;
  /** Splits rows [0, rows) over the threads in multiples of four; returns when all are done. */
  parallel(name: string, rows: number, ...args: KernelArgument[]): void;
  close(): void;
}

/** Allocates arrays in the kernels' memory, 64-byte aligned; all but `scratch` are zeroed. */
export interface Arena {
  f32(length: number): Float32Array;
  f64(length: number): Float64Array;
  i32(length: number): Int32Array;
  u8(length: number): Uint8Array;
  u16(length: number): Uint16Array;
  /**
   * Bytes as they were left, for kernels that write before they read. Of what is there for every row each thread uses
   * what belongs to its first rows only; pages that are never touched take no memory.
   */
  scratch(length: number): Uint8Array;
}

const pageBytes = 65536;
const maximumPages = 65536; // 4 GiB: all that 32-bit addresses reach

/** Compiled kernels on a memory of their own, without threads: the part of Kernels that every platform shares. */
export interface Instance extends Pick<Kernels, 'scope' | 'call'> {
  readonly memory: WebAssembly.Memory;
  readonly names: readonly string[];
  find(name: string): (...values: number[]) => number;
}

export function instantiate(module: WebAssembly.Module): Instance {
  const memory = new WebAssembly.Memory({ initial: 256, maximum: maximumPages, shared: true });
  const instance = new WebAssembly.Instance(module, { env: { memory, abort: () => {} } });
  const exports = instance.exports as Record<string, (...values: number[]) => number>;
  const find = (name: string) => {
    const kernel = exports[name];
    if (!kernel) throw new Error(`there is no kernel ${name}; run npm run build:kernels`);
    return kernel;
  };

  let top = align(find('heapBase')());

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
  // The address comes first: growing replaces memory.buffer.
  const place = <T>(make: (buffer: ArrayBufferLike, at: number) => T, bytes: number, clear = true): T => {
    const at = allocate(bytes);
    if (clear) new Uint8Array(memory.buffer, at, bytes).fill(0);
    return make(memory.buffer, at);
  };
  const arena: Arena = {
    f32: (length) => place((buffer, at) => new Float32Array(buffer, at, length), length * 4),
    f64: (length) => place((buffer, at) => new Float64Array(buffer, at, length), length * 8),
    i32: (length) => place((buffer, at) => new Int32Array(buffer, at, length), length * 4),
    u8: (length) => place((buffer, at) => new Uint8Array(buffer, at, length), length),
    scratch: (length) => place((buffer, at) => new Uint8Array(buffer, at, length), length, false),
    u16: (length) => place((buffer, at) => new Uint16Array(buffer, at, length), length * 2),
  };
  return {
    memory,
    names: Object.keys(exports),
    find,
    async scope(body) {
      const mark = top;
      try {
        return await body(arena);
      } finally {
        top = mark;
      }
    },
    call: (name, ...args) => find(name)(...args.map(address)),
  };
}

/** Where an argument lies, or the number that it is. */
export function address(argument: KernelArgument): number {
  if (typeof argument === 'number') return argument;
  if (!isShared(argument)) throw new Error('kernel arguments must come from an arena');
  return argument.byteOffset;
}

const align = (offset: number) => Math.ceil(offset / 64) * 64;
