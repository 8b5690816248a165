import { TersorError } from '../errors.js';
import type { Summary } from '../evaluation/summary.js';
import { requireLlama } from '../runtime/llama.js';
import { createGgufWriter } from '../writer/gguf.js';
import { checkOutput } from '../writer/output.js';
import { type CompressedTensor, compressBlocks } from './blocks.js';
import type { Hooks } from './hooks.js';
import { type Job, prepare, refuseProblems } from './job.js';
import type { CompressOptions } from './options.js';
import type { Plan } from './plan.js';
import { measure, type Verification, verify } from './verify.js';
import { type Stage, withWorkshop } from './workshop.js';

export interface CompressResult {
  readonly output: string;
  readonly bytes: number;
  readonly originalBytes: number;
  readonly bitsPerWeight: number;
  readonly seconds: number;
  /** Where they went; what is left over is setting up and putting away. */
  readonly stages: Readonly<Record<Stage, number>>;
  readonly peakMemoryBytes: number;
  readonly tensors: readonly CompressedTensor[];
  /** The file as its own runtime sees it, against what tersor predicts of it. */
  readonly verified: Verification;
  /** The file against the original on text that calibration did not see. */
  readonly heldOut?: Summary;
}

/** What will happen, to the byte, without doing it. */
export function plan(options: CompressOptions, hooks: Hooks = {}): Promise<Plan> {
  return withWorkshop(options, hooks, async (shop) => (await prepare(shop, options, hooks)).plan);
}

/**
 * Compresses a model into one GGUF file: calibrates, solves and writes one block at a time, reopens the file
 * in llama.cpp, and measures what it lost.
 * @throws TersorError for bad input before anything is written, and when the written file does not behave in
 *   llama.cpp as tersor predicts
 */
export function compress(options: CompressOptions, hooks: Hooks = {}): Promise<CompressResult> {
  const started = performance.now();
  return withWorkshop(options, hooks, async (shop) => {
    requireLlama();
    await checkTarget(options.output);
    const { stopwatch } = shop;
    const job = await stopwatch.time('prepare', () => prepare(shop, options, hooks));
    refuseProblems(job);
    const writer = await createGgufWriter(options.output, job.header);
    try {
      const tensors = await compressBlocks(shop, job, (name, bytes) => writer.write(name, bytes), hooks);
      const { heldOut, checks } = texts(job);
      const verified: Verification[] = [];
      await stopwatch.time('write', () =>
        writer.finish(async (path) => {
          verified.push(await stopwatch.time('verify', () => verify(shop, path, checks, hooks)));
        }),
      );
      const measured =
        heldOut.length > 0
          ? await stopwatch.time('measure', () => measure(shop, options.output, job.model, heldOut, hooks))
          : undefined;
      return {
        output: options.output,
        bytes: writer.bytes,
        originalBytes: job.plan.originalBytes,
        bitsPerWeight: job.plan.bitsPerWeight,
        seconds: (performance.now() - started) / 1000,
        stages: stopwatch.seconds,
        peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
        tensors,
        verified: verified[0] as Verification,
        ...(measured ? { heldOut: measured } : {}),
      };
    } finally {
      await writer.abort();
    }
  });
}

async function checkTarget(output: string): Promise<void> {
  if (!output.endsWith('.gguf')) {
    throw new TersorError('tersor writes GGUF files only', {
      file: output,
      remedy: 'give a name that ends in .gguf',
    });
  }
  await checkOutput(output);
}

/** Text for the two checks; a text too short to hold any of it back is checked on what was calibrated. */
function texts({ calibration }: Job): { heldOut: readonly Int32Array[]; checks: readonly Int32Array[] } {
  const { heldOut, sequences } = calibration;
  return { heldOut, checks: heldOut.length > 0 ? heldOut : sequences };
}
