import { availableParallelism } from 'node:os';
import { type Model, openModel } from '../../architecture/model.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import type { Portion } from '../../checkpoint/stack/stack.js';
import { createKernels, type Kernels } from '../../kernels/kernels.js';
import { createGemm, type Gemm } from '../../runtime/gemm.js';
import { loadTokenizer } from '../../text/load.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { createGuard } from './guard.js';
import type { Hooks, JobHooks } from './hooks.js';
import { createTracker, type Stage, type Step, stages } from './progress.js';
import { createStopwatch, type Stopwatch } from './stopwatch.js';

export interface ContextOptions {
  readonly threads?: number;
  /** Where models from the hub are kept. */
  readonly cacheFolder?: string;
  /** Folder with the tokenizer's files, when they do not lie beside the weights. */
  readonly tokenizer?: string;
}

/** What all jobs work with: kernels, matrix products, and models that are closed at the end. */
export interface Context {
  readonly threads: number;
  readonly kernels: Kernels;
  readonly gemm: Gemm;
  /** Charges time to stages, and has them shown as what the job is doing. */
  readonly stopwatch: Stopwatch<Stage>;
  /** Says what the job will take, so that its progress can be told. */
  expect(steps: readonly Step[]): void;
  /** Opens a model of any format; of a stacked one only a part, if that is asked for. */
  open(model: string, portion?: Portion): Promise<Model>;
  /** The tokenizer that belongs to a model; its warnings are passed on. */
  tokenizer(model: Model): Promise<Tokenizer>;
}

/** A context that somebody has to put away. */
export interface OpenedContext {
  readonly context: Context;
  /** How the parts of the job report to its caller. */
  readonly hooks: Hooks;
  /** The job has reached its end. */
  finish(): void;
  close(): Promise<void>;
}

/** Sets a context up. */
export async function openContext(options: ContextOptions, caller: JobHooks): Promise<OpenedContext> {
  const { signal, warn } = caller;
  signal?.throwIfAborted();
  const threads = options.threads ?? availableParallelism();
  const kernels = await createKernels({ threads });
  const gemm = createGemm({ threads });
  const guard = createGuard(signal);
  const tracker = createTracker((event) => caller.progress?.(event));
  const stopwatch = createStopwatch(stages);
  const opened: Checkpoint[] = [];
  const hooks: Hooks = {
    progress(task, done, total) {
      signal?.throwIfAborted();
      tracker.report(task, done, total);
    },
    ...(warn ? { warn } : {}),
    ...(signal ? { signal } : {}),
  };
  const context: Context = {
    threads,
    kernels: guard.kernels(kernels),
    gemm: guard.gemm(gemm),
    stopwatch: {
      seconds: stopwatch.seconds,
      time: (stage, work) => tracker.within(stage, () => stopwatch.time(stage, work)),
    },
    expect: tracker.expect,
    async open(model, portion) {
      const checkpoint = await openCheckpoint(model, {
        kernels,
        ...(portion ? { portion } : {}),
        ...(options.cacheFolder ? { cacheFolder: options.cacheFolder } : {}),
        ...(hooks.progress ? { progress: hooks.progress } : {}),
        ...(signal ? { signal } : {}),
      });
      opened.push(checkpoint);
      return openModel(checkpoint);
    },
    async tokenizer({ checkpoint }) {
      const tokenizer = await loadTokenizer(
        checkpoint,
        options.tokenizer ? { folder: options.tokenizer } : {},
      );
      for (const warning of tokenizer.warnings) warn?.(warning);
      return tokenizer;
    },
  };
  return {
    context,
    hooks,
    finish: tracker.finish,
    async close() {
      for (const checkpoint of opened) await checkpoint.close();
      await gemm.release();
      kernels.close();
    },
  };
}

/**
 * Sets a context up, does the job in it, and puts everything away whatever happens.
 * @throws the reason of the caller's signal, once that has ended the job
 */
export async function withContext<T>(
  options: ContextOptions,
  caller: JobHooks,
  job: (context: Context, hooks: Hooks) => Promise<T>,
): Promise<T> {
  const { context, hooks, finish, close } = await openContext(options, caller);
  try {
    const result = await job(context, hooks);
    finish();
    return result;
  } catch (error) {
    // Whatever the interruption has led to on its way up.
    caller.signal?.throwIfAborted();
    throw error;
  } finally {
    await close();
  }
}
