import { createActivationCache } from '../calibration/activation-cache.js';
import { refuseInputs } from '../writer/inputs.js';
import { type Context, withContext } from './context/context.js';
import type { Hooks, JobHooks } from './context/hooks.js';
import { compressionSteps } from './context/steps.js';
import { usableStoreFolder } from './context/store.js';
import type { Composed } from './formats/format.js';
import { findFormat } from './formats/index.js';
import { checkTypeNames } from './formats/type-names.js';
import { measure } from './measure/measure.js';
import type { CompressResult, Verification } from './measure/result.js';
import { proveFinite, verify } from './measure/verify.js';
import { type CompressOptions, checkApplicable, isSearch, withRecipe } from './options.js';
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
  const started = performance.now();
  return withContext(options, caller, async (context, hooks) => {
    const searched = isSearch(options) ? (options.search ?? '') : undefined;
    const format = findFormat(withRecipe(options));
    const composes = 'compress' in format;
    checkApplicable(options, format.name);
    context.expect(composes ? format.steps : compressionSteps({ search: searched, tune: options.tune }));
    await format.check(options.output);
    if (!composes) checkTypeNames(options, format);
    await refuseInputs(options.output, inputsOf(options));
    const made = await (composes ? format.compress : compressTensors)(context, options, hooks);
    return {
      output: options.output,
      ...made,
      seconds: (performance.now() - started) / 1000,
      stages: context.stopwatch.seconds,
      peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
    };
  });
}

/** Files and folders that a job reads. */
export const inputsOf = ({ model, calibration, imatrix, tokenizer }: Partial<CompressOptions>) => [
  model,
  calibration,
  imatrix,
  tokenizer,
];

/** Gives every tensor a type, solves and writes it, and has the runtime open the result. */
async function compressTensors(context: Context, options: CompressOptions, hooks: Hooks): Promise<Composed> {
  const { time } = context.stopwatch;
  const job = await time('prepare', () => prepare(context, options, hooks));
  const { format, model, plan, layout, recipe } = job;
  refuseProblems(job);
  checkMemory(job, options.memory);
  const folder = await usableStoreFolder(options);
  const journal = await time('prepare', () => openJournal(job, options, hooks));
  const writer = await layout.create(options.output);
  const activationCache = createActivationCache({
    bytes: activationRoom(job, options.memory),
    folder,
  });
  try {
    const write = (name: string, bytes: Uint8Array) => writer.write(name, bytes);
    const tensors = await time('solve', () =>
      compressBlocks(context, job, { write, journal, hooks }, activationCache),
    );
    activationCache.close();
    const { heldOut, checks } = texts(job);
    const verified: Verification[] = [];
    await time('write', () =>
      writer.finish(async (path) => {
        await time('verify', () => proveFinite(context, format, path));
        const { runtime, open } = format;
        if (!runtime) return;
        const written = { path, sequences: checks, recipe };
        verified.push(await time('verify', () => verify(context, { runtime, open }, written, hooks)));
      }),
    );
    const measured =
      heldOut.length > 0
        ? await time('measure', () =>
            measure(context, options.output, { original: model, sequences: heldOut }, hooks),
          )
        : {};
    await journal.finish();
    const { originalBytes, bitsPerWeight, parts, search, tuning } = plan;
    return {
      bytes: layout.bytes,
      originalBytes,
      bitsPerWeight,
      parts,
      ...(search ? { search } : {}),
      ...(tuning ? { tuning } : {}),
      tensors,
      resumed: journal.found,
      ...(verified[0] ? { verified: verified[0] } : {}),
      ...measured,
    };
  } finally {
    activationCache.close();
    await writer.abort();
  }
}

/** Text for the two checks; a text too short to hold any of it back is checked on what was calibrated. */
function texts({ calibration }: Job): { heldOut: readonly Int32Array[]; checks: readonly Int32Array[] } {
  const { heldOut, sequences } = calibration;
  return { heldOut, checks: heldOut.length > 0 ? heldOut : sequences };
}
