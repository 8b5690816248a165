import kernelsUrl from '../../build/kernels.wasm?url';
import { loadKernels as load } from '../../src/kernels/browser.js';
import type { Kernels } from '../../src/kernels/kernels.js';

/** The kernels on this thread. */
export const loadKernels = (): Promise<Kernels> => load(kernelsUrl);
