import type { Context } from '../context/context.js';
import type { Job } from './job.js';
import { peakMemory } from './memory.js';
import { workOf } from './work.js';

/** What carrying out a plan will take on this machine. */
export interface Estimate {
  readonly seconds: number;
  readonly peakMemoryBytes: number;
  /** How much of that is the finished file as its runtime maps it, which the system can take back. */
  readonly mappedBytes: number;
}

/** Time of a job, from its shapes and this machine's speed at matrix products, and memory. */
export async function estimate(context: Context, job: Job, memory?: number): Promise<Estimate> {
  const { model, assignments, recipe, calibration } = job;
  const { architecture } = model;
  const { flops, threadSeconds } = workOf(architecture, recipe);
  const weights = assignments.reduce((sum, { elements }) => sum + elements, 0);
  const measured = calibration.heldOut.length * recipe.context * 2 * weights * 3;
  const speed = await productSpeed(context);
  const peak = peakMemory(job, memory);
  return {
    seconds: (flops + measured) / speed + threadSeconds / context.threads + 2,
    peakMemoryBytes: peak.bytes,
    mappedBytes: peak.mapped,
  };
}

/** Floating-point operations per second of a matrix product, the best of a few. */
export async function productSpeed({ gemm }: Context): Promise<number> {
  const size = 768;
  const square = { data: new Float32Array(size ** 2).fill(1), shape: [size, size] };
  let best = 0;
  for (let attempt = 0; attempt < 4; attempt++) {
    const start = performance.now();
    await gemm(square, square);
    best = Math.max(best, (2000 * size ** 3) / (performance.now() - start));
  }
  return best;
}
