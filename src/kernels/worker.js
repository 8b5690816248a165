// One kernel thread. It shares the kernels' memory with its parent, sleeps on its mailbox and runs what it is
// told. Plain JavaScript, because Node loads it as it is from the sources (tests) and from dist.
import { parentPort, workerData } from 'node:worker_threads';

/** @typedef {{ module: WebAssembly.Module, memory: WebAssembly.Memory, mailbox: SharedArrayBuffer, names: string[] }} Start */
const { module, memory, mailbox, names } = /** @type {Start} */ (workerData);
const exports = new WebAssembly.Instance(module, {
  env: { memory, abort: () => {} },
}).exports;
// Layout of the mailbox: [0] ticket, [1] finished ticket, [2] kernel or -1 to stop, [3] failed, [4] count; f64 arguments follow.
const control = new Int32Array(mailbox, 0, 8);
const values = new Float64Array(mailbox, 32);

let ticket = 0;
parentPort?.postMessage('ready');
for (;;) {
  Atomics.wait(control, 0, ticket);
  const next = Atomics.load(control, 0);
  // Whoever hands out a ticket may fall asleep before notifying; that late notification finds the work done.
  if (next === ticket) continue;
  ticket = next;
  const kernel = control[2] ?? -1;
  if (kernel < 0) break;
  try {
    const run = /** @type {(...values: number[]) => void} */ (exports[names[kernel] ?? '']);
    run(...values.subarray(0, control[4]));
  } catch {
    control[3] = 1;
  }
  Atomics.store(control, 1, ticket);
  Atomics.notify(control, 1);
}
process.exit(0);
