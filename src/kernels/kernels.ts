import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import type { KernelName } from './arguments.js';
import { instantiate, type Kernels } from './instance.js';
import { kernels } from './signatures.js';

export type { ArgumentsOf, FieldsOf, KernelRecord, RowKernel } from './arguments.js';
export type { Arena, Content, Kernels } from './instance.js';

const wasmFile = new URL('../../build/kernels.wasm', import.meta.url);
const kernelNames = Object.keys(kernels) as KernelName[];
const rowQuantum = 16; // rows a thread takes at a time: one cache line of floats

interface Thread {
  readonly worker: Worker;
  readonly control: Int32Array;
  readonly values: Float64Array;
}

/** Loads the kernels and starts `threads − 1` helpers beside the calling thread. */
export async function createKernels({ threads = 1 }: { readonly threads?: number } = {}): Promise<Kernels> {
  const module = await WebAssembly.compile(await readFile(wasmFile));
  const { memory, find, passed, scope, call } = instantiate(module);
  const helpers = await Promise.all(
    Array.from({ length: threads - 1 }, () => startThread({ module, memory, names: kernelNames })),
  );
  return {
    threads,
    scope,
    call,
    parallel(name, rows, args) {
      const kernel = find(name);
      const values = passed(name, args);
      const share = Math.ceil(rows / threads / rowQuantum) * rowQuantum;
      const busy = helpers.filter((thread, index) => {
        const start = share * (index + 1);
        const end = Math.min(rows, start + share);
        if (start < end) post(thread, kernelNames.indexOf(name), [start, end, ...values]);
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

async function startThread(start: {
  module: WebAssembly.Module;
  memory: WebAssembly.Memory;
  names: readonly KernelName[];
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

function finish(thread: Thread, name: KernelName): void {
  const ticket = Atomics.load(thread.control, 0);
  for (;;) {
    const done = Atomics.load(thread.control, 1);
    if (done === ticket) break;
    Atomics.wait(thread.control, 1, done);
  }
  if (thread.control[3]) throw new Error(`kernel ${name} failed on a helper thread`);
}
