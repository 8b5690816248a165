import { createShelf } from '../calibration/activation-cache.js';
import { TersorError } from '../errors.js';
import { type Estimate, estimate } from './prepare/estimate.js';
import { findFormat } from './formats/index.js';
import type { Hooks } from './context/hooks.js';
import { type Job, refuseProblems } from './prepare/job.js';
import { activationRoom, checkMemory } from './prepare/memory.js';
import { type CompressOptions, withRecipe } from './options.js';
import type { Plan } from './prepare/plan.js';
import { prepare } from './prepare/prepare.js';
import type { CompressResult } from './measure/result.js';
import { predict } from './search/predict.js';
import { compressBlocks } from './solve/blocks.js';
import { openJournal } from './solve/resume.js';
import { compressStack, isStacked } from './formats/stack/compress.js';
import { defaultStoreFolder } from './context/store.js';
import { measure, proveFinite, type Verification, verify } from './measure/verify.js';
import { withWorkshop } from './context/context.js';

/** What will happen, to the byte, without doing it; of the model's loss only with `predict` or a search. */
export function plan(
  options: CompressOptions,
  hooks: Hooks = {},
): Promise<Plan & { readonly estimate: Estimate }> {
  if (isStacked(options))
    throw new TersorError('a stacked file is planned by writing it, since its order is measured', {
      file: options.output,
      remedy: 'leave --dry-run out; any part of the finished file is a model',
    });
  return withWorkshop(options, hooks, async (shop) => {
    const job = await prepare(shop, options, hooks);
    const prediction =
      options.predict && !job.plan.search ? await predict(shop, job, options, hooks) : undefined;
    return {
      ...job.plan,
      ...(prediction ? { prediction } : {}),
      estimate: await estimate(shop, job, options.memory),
    };
  });
}

/**
 * Compresses a model into a GGUF file, a folder or a stacked file: calibrates, solves and writes one block at a time,
 * reopens the result in llama.cpp or onnxruntime, and measures what it lost.
 * @throws TersorError for bad input before anything is written, and when what was written does not behave in its
 *   runtime as tersor predicts
 */
export function compress(options: CompressOptions, hooks: Hooks = {}): Promise<CompressResult> {
  if (isStacked(options)) return compressStack(options, hooks);
  const started = performance.now();
  return withWorkshop(options, hooks, async (shop) => {
    await findFormat(withRecipe(options)).check(options.output);
    const { stopwatch } = shop;
    const job = await stopwatch.time('prepare', () => prepare(shop, options, hooks));
    refuseProblems(job);
    checkMemory(job, options.memory);
    const journal = await stopwatch.time('prepare', () => openJournal(job, options, hooks));
    const writer = await job.layout.create(options.output);
    const shelf = createShelf({
      bytes: activationRoom(job, options.memory),
      folder: options.store ?? defaultStoreFolder,
    });
    try {
      const write = (name: string, bytes: Uint8Array) => writer.write(name, bytes);
      const tensors = await compressBlocks(shop, job, write, hooks, { journal, shelf });
      shelf.close();
      const { heldOut, checks } = texts(job);
      const verified: Verification[] = [];
      await stopwatch.time('write', () =>
        writer.finish(async (path) => {
          const { runtime } = job.format;
          await stopwatch.time('verify', () => proveFinite(shop, runtime, path));
          // Measured below: no runtime of such a folder is at hand.
          if (runtime === 'tersor' || runtime === 'vllm') return;
          verified.push(
            await stopwatch.time('verify', () => verify(shop, runtime, path, checks, hooks, job.recipe)),
          );
        }),
      );
      const measured =
        heldOut.length > 0
          ? await stopwatch.time('measure', () => measure(shop, options.output, job.model, heldOut, hooks))
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
      shelf.close();
      await writer.abort();
    }
  });
}

/** Text for the two checks; a text too short to hold any of it back is checked on what was calibrated. */
function texts({ calibration }: Job): { heldOut: readonly Int32Array[]; checks: readonly Int32Array[] } {
  const { heldOut, sequences } = calibration;
  return { heldOut, checks: heldOut.length > 0 ? heldOut : sequences };
}
