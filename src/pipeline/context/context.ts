import { availableParallelism } from 'node:os';
import { type Model, openModel } from '../../architecture/model.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import { openCheckpoint } from '../../checkpoint/open.js';
import type { Portion } from '../../checkpoint/stack/stack.js';
import { createKernels, type Kernels } from '../../kernels/kernels.js';
import { createGemm, type Gemm } from '../../runtime/gemm.js';
import { loadTokenizer } from '../../text/load.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Hooks } from './hooks.js';
import { createStopwatch, type Stopwatch } from './stopwatch.js';

export interface ContextOptions {
  readonly threads?: number;
  /** Where models from the hub are kept. */
  readonly cacheFolder?: string;
  /** Folder with the tokenizer's files, when they do not lie beside the weights. */
  readonly tokenizer?: string;
}

/** Parts of a job whose time is told apart; `prepare` is everything up to the plan, `write` includes packing. */
const stages = ['prepare', 'read', 'calibrate', 'solve', 'write', 'verify', 'measure'] as const;
export type Stage = (typeof stages)[number];

/** What all jobs work with: kernels, matrix products, and models that are closed at the end. */
export interface Context {
  readonly threads: number;
  readonly kernels: Kernels;
  readonly gemm: Gemm;
  readonly stopwatch: Stopwatch<Stage>;
  /** Opens a model of any format; of a stacked one only a part, if that is asked for. */
  open(model: string, portion?: Portion): Promise<Model>;
  /** The tokenizer that belongs to a model; its warnings are passed on. */
  tokenizer(model: Model): Promise<Tokenizer>;
}

/** Sets a context up, does the job in it, and puts everything away whatever happens. */
export async function withContext<T>(
  options: ContextOptions,
  hooks: Hooks,
  job: (context: Context) => Promise<T>,
): Promise<T> {
  const threads = options.threads ?? availableParallelism();
  const kernels = await createKernels({ threads });
  const gemm = createGemm({ threads });
  const opened: Checkpoint[] = [];
  try {
    return await job({
      threads,
      kernels,
      gemm,
      stopwatch: createStopwatch(stages),
      async open(model, portion) {
        const checkpoint = await openCheckpoint(model, {
          kernels,
          ...(portion ? { portion } : {}),
          ...(options.cacheFolder ? { cacheFolder: options.cacheFolder } : {}),
          ...(hooks.progress ? { progress: hooks.progress } : {}),
        });
        opened.push(checkpoint);
        return openModel(checkpoint);
      },
      async tokenizer({ checkpoint }) {
        const tokenizer = await loadTokenizer(
          checkpoint,
          options.tokenizer ? { folder: options.tokenizer } : {},
        );
        for (const warning of tokenizer.warnings) hooks.warn?.(warning);
        return tokenizer;
      },
    });
  } finally {
    for (const checkpoint of opened) await checkpoint.close();
    await gemm.release();
    kernels.close();
  }
}
