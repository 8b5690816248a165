import type { TensorSpec } from '../architecture/architecture.js';
import type { Model } from '../architecture/model.js';
import { walkModel } from '../calibration/walk-model.js';
import { type ImportanceEntry, meanSquares, readImatrix } from '../checkpoint/imatrix.js';
import { TersorError } from '../errors.js';
import { checkImatrixOutput, writeImatrix } from '../writer/imatrix.js';
import { refuseInputs } from '../writer/inputs.js';
import { type Context, type ContextOptions, withContext } from './context/context.js';
import { checkAborted, type Hooks, type JobHooks } from './context/hooks.js';
import { imatrixSteps } from './context/steps.js';
import { calibrationText, type TextOptions } from './prepare/calibration-text.js';
import { createPasses } from './solve/passes.js';

export interface ImatrixOptions extends ContextOptions, Omit<TextOptions, 'imatrix'> {
  /** A Hugging Face directory, a hub id, a `.gguf`, or a llama2.c `.bin`. */
  readonly model: string;
  /** The file to write: `.gguf`, or `.dat` for llama.cpp's older kind. */
  readonly output: string;
}

export interface ImatrixResult {
  readonly output: string;
  readonly bytes: number;
  /** Weights that it has an entry for. */
  readonly entries: number;
  readonly tokens: number;
  /** Sequences of so many tokens. */
  readonly chunks: number;
  readonly context: number;
  readonly seconds: number;
}

/**
 * Writes llama.cpp's importance matrix of a model: per linear layer of the blocks and input column Σ x² over a text, in
 * the original model, block after block.
 * @throws TersorError for bad input before anything is written
 */
export function imatrix(options: ImatrixOptions, caller: JobHooks = {}): Promise<ImatrixResult> {
  const started = performance.now();
  return withContext(options, caller, async (context, hooks) => {
    context.expect(imatrixSteps);
    await checkImatrixOutput(options.output);
    await refuseInputs(options.output, [options.model, options.calibration]);
    const model = await context.open(options.model);
    const tokenizer = await context.tokenizer(model);
    const { sequences, tokens, source } = await calibrationText(options, model, tokenizer, hooks, 0);
    const entries = await context.stopwatch.time('calibrate', () =>
      sumSquares(context, model, sequences, hooks),
    );
    const length = sequences[0]?.length ?? 0;
    const chunks = sequences.length;
    const bytes = await writeImatrix(options.output, {
      entries,
      datasets: [source],
      chunks,
      chunkSize: length,
    });
    const seconds = (performance.now() - started) / 1000;
    return { output: options.output, bytes, entries: entries.size, tokens, chunks, context: length, seconds };
  });
}

/** Entries by GGUF's names for every linear layer of the blocks, which is what llama.cpp collects. */
async function sumSquares(
  context: Context,
  { architecture, readBlock }: Model,
  sequences: readonly Int32Array[],
  hooks: Hooks,
): Promise<Map<string, ImportanceEntry>> {
  const passes = createPasses(context, architecture);
  const entries = new Map<string, ImportanceEntry>();
  try {
    await walkModel(architecture, passes.calibrator, {
      embedding: async () => ({ hidden: await passes.embed(sequences, await readBlock(undefined)) }),
      async block(block) {
        checkAborted(hooks);
        return {
          weights: await readBlock(block),
          async site(layers, { gram: { data, cols }, tokens }) {
            const sums = Float32Array.from({ length: cols }, (_, i) => (data[i * (cols + 1)] ?? 0) * tokens);
            for (const spec of layers) addEntry(entries, spec, { sums, counts: Float32Array.of(tokens) });
          },
          rest: async () => hooks.progress?.('importance', block + 1, architecture.layers),
        };
      },
    });
  } finally {
    await passes.release();
  }
  return entries;
}

/** Puts an entry in its place: experts of a layer are one entry, as they are one tensor. */
function addEntry(
  entries: Map<string, ImportanceEntry>,
  { names, expert }: TensorSpec,
  own: ImportanceEntry,
): void {
  if (!expert) {
    entries.set(names.gguf, own);
    return;
  }
  const all = entries.get(expert.gguf) ?? {
    sums: new Float32Array(expert.count * own.sums.length),
    counts: new Float32Array(expert.count),
  };
  all.sums.set(own.sums, expert.index * own.sums.length);
  all.counts.set(own.counts, expert.index);
  entries.set(expert.gguf, all);
}

/** A weight's entry; of one that belongs to an expert, its part of the entry of all. */
function entryOf(
  entries: ReadonlyMap<string, ImportanceEntry>,
  { names, expert }: TensorSpec,
): ImportanceEntry | undefined {
  if (!expert) return entries.get(names.gguf);
  const all = entries.get(expert.gguf);
  if (!all) return undefined;
  const { index, count } = expert;
  const cols = Math.floor(all.sums.length / count);
  return {
    sums: all.sums.subarray(index * cols, (index + 1) * cols),
    // A single count is that of every expert.
    counts: all.counts.length === count ? all.counts.subarray(index, index + 1) : all.counts,
  };
}

/** Mean squares of the inputs of a model's weights, from a file. */
export interface Importance {
  /** Of a weight's input columns; undefined for weights that llama.cpp collects nothing for. */
  of(spec: TensorSpec): Float32Array | undefined;
}

/**
 * Reads an importance matrix that is to take the place of a calibration.
 * @throws TersorError when it lacks a linear layer of the blocks or has one of another width: it is another model's
 */
export async function readImportance(
  path: string,
  { architecture }: Model,
  context: Context,
): Promise<Importance> {
  const { entries } = await readImatrix(path, context.kernels);
  const importance = new Map<TensorSpec, Float32Array>();
  for (const spec of architecture.tensors.filter(({ kind }) => kind === 'linear' || kind === 'head')) {
    const tensor = spec.names.gguf;
    const cols = spec.shape[1] ?? 0;
    const entry = entryOf(entries, spec);
    // llama.cpp collects the head's inputs only when asked to.
    if (!entry && spec.kind === 'head') continue;
    if (entry?.sums.length !== cols)
      throw new TersorError(
        entry
          ? `has ${entry.sums.length} columns in the importance matrix and ${cols} in the model`
          : 'has no entry in the importance matrix',
        { file: path, tensor, remedy: 'make it from this model, with tersor imatrix or llama-imatrix' },
      );
    importance.set(spec, meanSquares(entry));
  }
  return { of: (spec) => importance.get(spec) };
}
