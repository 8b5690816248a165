import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { TersorError } from '../errors.js';

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

/** Allocates zeroed arrays in the kernels' memory, 64-byte aligned. */
export interface Arena {
  f32(length: number): Float32Array;
  f64(length: number): Float64Array;
  i32(length: number): Int32Array;
  u8(length: number): Uint8Array;
  u16(length: number): Uint16Array;
}

const wasmFile = new URL('../../build/kernels.wasm', import.meta.url);
const pageBytes = 65536;
const maximumPages = 65536; // 4 GiB: all that 32-bit addresses reach
const rowQuantum = 16; // rows a thread takes at a time: one cache line of floats

interface Thread {
  readonly worker: Worker;
  readonly control: Int32Array;
  readonly values: Float64Array;
}

/** Loads the kernels and starts `threads − 1` helpers beside the calling thread. */
export async function createKernels({ threads = 1 }: { readonly threads?: number } = {}): Promise<Kernels> {
  const memory = new WebAssembly.Memory({ initial: 256, maximum: maximumPages, shared: true });
  const module = await WebAssembly.compile(await readFile(wasmFile));
  const instance = new WebAssembly.Instance(module, { env: { memory, abort: () => {} } });
  const exports = instance.exports as Record<string, (...values: number[]) => number>;
  const names = Object.keys(exports);
  const helpers = await Promise.all(
    Array.from({ length: threads - 1 }, () => startThread({ module, memory, names })),
  );
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
        throw new TersorError(`a layer needs ${bytes} bytes more than WebAssembly's 4 GiB allow`, { cause });
      }
    }
    new Uint8Array(memory.buffer, start, bytes).fill(0);
    return start;
  };
  // The address comes first: growing replaces memory.buffer.
  const place = <T>(make: (buffer: ArrayBufferLike, at: number) => T, bytes: number): T => {
    const at = allocate(bytes);
    return make(memory.buffer, at);
  };
  const arena: Arena = {
    f32: (length) => place((buffer, at) => new Float32Array(buffer, at, length), length * 4),
    f64: (length) => place((buffer, at) => new Float64Array(buffer, at, length), length * 8),
    i32: (length) => place((buffer, at) => new Int32Array(buffer, at, length), length * 4),
    u8: (length) => place((buffer, at) => new Uint8Array(buffer, at, length), length),
    u16: (length) => place((buffer, at) => new Uint16Array(buffer, at, length), length * 2),
  };
  return {
    threads,
    async scope(body) {
      const mark = top;
      try {
        return await body(arena);
      } finally {
        top = mark;
      }
    },
    call: (name, ...args) => find(name)(...args.map(address)),
    parallel(name, rows, ...args) {
      const kernel = find(name);
      const values = args.map(address);
      const share = Math.ceil(rows / threads / rowQuantum) * rowQuantum;
      const busy = helpers.filter((thread, index) => {
        const start = share * (index + 1);
        const end = Math.min(rows, start + share);
        if (start < end) post(thread, names.indexOf(name), [start, end, ...values]);
        return start < end;
      });
      kernel(0, Math.min(rows, share), ...values);
      for (const thread of busy) finish(thread, name);
    },
    close() {
      for (const thread of helpers) post(thread, -1, []);
    },
  };
}

function address(argument: KernelArgument): number {
  if (typeof argument === 'number') return argument;
  if (!(argument.buffer instanceof SharedArrayBuffer))
    throw new Error('kernel arguments must come from an arena');
  return argument.byteOffset;
}

const align = (offset: number) => Math.ceil(offset / 64) * 64;

async function startThread(start: {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  names: string[];
}) {
  const mailbox = new SharedArrayBuffer(32 + 8 * 32);
  const worker = new Worker(new URL('./worker.js', import.meta.url), { workerData: { ...start, mailbox } });
  await new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  worker.unref();
  return { worker, control: new Int32Array(mailbox, 0, 8), values: new Float64Array(mailbox, 32) };
}

function post(thread: Thread, kernel: number, values: readonly number[]): void {
  thread.values.set(values);
  thread.control[2] = kernel;
  thread.control[4] = values.length;
  Atomics.add(thread.control, 0, 1);
  Atomics.notify(thread.control, 0);
}

function finish(thread: Thread, name: string): void {
  const ticket = Atomics.load(thread.control, 0);
  for (;;) {
    const done = Atomics.load(thread.control, 1);
    if (done === ticket) break;
    Atomics.wait(thread.control, 1, done);
  }
  if (thread.control[3]) throw new Error(`kernel ${name} failed on a helper thread`);
}
