/**
 * Reads stacked models as they arrive, in browsers and wherever else there is WebAssembly: nothing here imports Node.
 *
 *     import kernels from 'tersor/kernels.wasm?url'; // Vite's way to say where a file is
 *     const decoder = createStackDecoder(await loadKernels(kernels));
 *     for await (const bytes of (await fetch('model.stack')).body) {
 *       decoder.push(bytes);
 *       if ((await decoder.update()).size > 0 && decoder.usable) use(decoder.values('model.norm.weight'));
 *     }
 */
export { createStackDecoder, type StackDecoder } from './checkpoint/stack/decoder.js';
export {
  addSlice,
  headerLength,
  preambleBytes,
  readContents,
  type Slice,
  type StackContents,
  type StackTensor,
  stackShape,
} from './checkpoint/stack/header.js';
export { type ErrorCode, TersorError } from './errors.js';
export { type KernelSource, loadKernels } from './kernels/browser.js';
export type { Kernels } from './kernels/instance.js';
