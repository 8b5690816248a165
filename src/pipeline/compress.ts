import { createActivationCache } from '../calibration/activation-cache.js';
import { withContext } from './context/context.js';
import type { JobHooks } from './context/hooks.js';
import { compressionSteps } from './context/steps.js';
import { defaultStoreFolder } from './context/store.js';
import { findFormat } from './formats/index.js';
import { compressStack, isStacked } from './formats/stack/compress.js';
import type { CompressResult } from './measure/result.js';
import { measure, proveFinite, type Verification, verify } from './measure/verify.js';
import { type CompressOptions, isSearch, withRecipe } from './options.js';
import { type Job, refuseProblems } from './prepare/job.js';
import { activationRoom, checkMemory } from './prepare/memory.js';
import { prepare } from './prepare/prepare.js';
import { compressBlocks } from './solve/blocks.js';
import { openJournal } from './solve/resume.js';

/**
 * Compresses a model into a GGUF file, a folder or a stacked file: calibrates, solves and writes one block at a time,
 * reopens the result in llama.cpp or onnxruntime, and measures what it lost.
 * @throws TersorError for bad input before anything is written, and when what was written does not behave in its
 *   runtime as tersor predicts
 *   The reason of `caller.signal`, once that has ended the job.
 */
export function compress(options: CompressOptions, caller: JobHooks = {}): Promise<CompressResult> {
  if (isStacked(options)) return compressStack(options, caller);
  const started = performance.now();
  return withContext(options, caller, async (context, hooks) => {
    const searched = isSearch(options) ? (options.search ?? '') : undefined;
    context.expect(compressionSteps({ search: searched, tune: options.tune }));
    await findFormat(withRecipe(options)).check(options.output);
    const { stopwatch } = context;
    const job = await stopwatch.time('prepare', () => prepare(context, options, hooks));
    refuseProblems(job);
    checkMemory(job, options.memory);
    const journal = await stopwatch.time('prepare', () => openJournal(job, options, hooks));
    const writer = await job.layout.create(options.output);
    const activationCache = createActivationCache({
      bytes: activationRoom(job, options.memory),
      folder: options.store ?? defaultStoreFolder,
    });
    try {
      const write = (name: string, bytes: Uint8Array) => writer.write(name, bytes);
      const tensors = await stopwatch.time('solve', () =>
        compressBlocks(context, job, { write, journal, hooks }, activationCache),
      );
      activationCache.close();
      const { heldOut, checks } = texts(job);
      const verified: Verification[] = [];
      await stopwatch.time('write', () =>
        writer.finish(async (path) => {
          const { runtime } = job.format;
          await stopwatch.time('verify', () => proveFinite(context, runtime, path));
          // Measured below: no runtime of such a folder is at hand.
          if (runtime === 'tersor' || runtime === 'vllm') return;
          verified.push(
            await stopwatch.time('verify', () => verify(context, runtime, path, checks, hooks, job.recipe)),
          );
        }),
      );
      const measured =
        heldOut.length > 0
          ? await stopwatch.time('measure', () => measure(context, options.output, job.model, heldOut, hooks))
          : {};
      await journal.finish();
      return {
        output: options.output,
        bytes: job.layout.bytes,
        originalBytes: job.plan.originalBytes,
        bitsPerWeight: job.plan.bitsPerWeight,
        ...(job.plan.search ? { search: job.plan.search } : {}),
        ...(job.plan.tuning ? { tuning: job.plan.tuning } : {}),
        seconds: (performance.now() - started) / 1000,
        stages: stopwatch.seconds,
        peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
        tensors,
        resumed: journal.found,
        ...(verified[0] ? { verified: verified[0] } : {}),
        ...measured,
      };
    } finally {
      activationCache.close();
      await writer.abort();
    }
  });
}

/** Text for the two checks; a text too short to hold any of it back is checked on what was calibrated. */
function texts({ calibration }: Job): { heldOut: readonly Int32Array[]; checks: readonly Int32Array[] } {
  const { heldOut, sequences } = calibration;
  return { heldOut, checks: heldOut.length > 0 ? heldOut : sequences };
}
