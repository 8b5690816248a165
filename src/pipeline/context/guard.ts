import type { Kernels } from '../../kernels/kernels.js';
import type { Gemm } from '../../runtime/gemm.js';

/** Kernels and products that refuse to go on once a signal has asked to stop. */
export interface Guard {
  kernels(kernels: Kernels): Kernels;
  gemm(gemm: Gemm): Gemm;
}

/** Milliseconds between two looks at what happened outside; a signal that nobody hears stops nothing. */
const deaf = 50;

/**
 * Everything that takes long goes through kernels or matrix products, so that a job ends between two of them wherever it
 * is. Kernels keep the thread to themselves: now and then whoever wants to stop the job gets a turn.
 */
export function createGuard(signal: AbortSignal | undefined): Guard {
  if (!signal) return { kernels: (kernels) => kernels, gemm: (gemm) => gemm };
  let heard = performance.now();
  const listen = async () => {
    if (performance.now() - heard > deaf) {
      await new Promise((resolve) => setImmediate(resolve));
      heard = performance.now();
    }
    signal.throwIfAborted();
  };
  return {
    kernels: (kernels) => ({
      ...kernels,
      async scope(body) {
        await listen();
        return kernels.scope(body);
      },
    }),
    gemm: (gemm) =>
      Object.assign(
        async (...args: Parameters<Gemm>) => {
          signal.throwIfAborted();
          return gemm(...args);
        },
        { release: gemm.release },
      ),
  };
}
