import kernelsUrl from '../../build/kernels.wasm?url';
import { instantiate, type Kernels } from '../../src/kernels/instance.js';

/** The kernels on this thread. */
export async function loadKernels(): Promise<Kernels> {
  // Pages that are not isolated hide the name, not the thing.
  if (!('SharedArrayBuffer' in globalThis)) {
    const { buffer } = new WebAssembly.Memory({ initial: 0, maximum: 0, shared: true });
    Object.assign(globalThis, { SharedArrayBuffer: buffer.constructor });
  }
  const { scope, call } = instantiate(await WebAssembly.compileStreaming(fetch(kernelsUrl)));
  return {
    threads: 1,
    scope,
    call,
    parallel(name, rows, ...args) {
      call(name, 0, rows, ...args);
    },
    close() {},
  };
}
