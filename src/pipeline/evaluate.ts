import { TersorError } from '../errors.js';
import { compare } from '../evaluation/compare.js';
import { predict } from '../evaluation/predictor.js';
import type { Summary } from '../evaluation/summary.js';
import { chunk, readText } from '../text/corpus.js';
import type { Hooks } from './hooks.js';
import { predictIn } from './verify.js';
import { type WorkshopOptions, withWorkshop } from './workshop.js';

export interface EvaluateOptions extends WorkshopOptions {
  readonly model: string;
  /** The original, to compare with. */
  readonly against?: string;
  /** A text file that calibration has not seen. */
  readonly text: string;
  readonly context?: number;
  /** Tokens of text at most; the second half of each context is scored. */
  readonly tokens?: number;
  /** Whose arithmetic runs the model; the reference is always tersor's. */
  readonly runtime?: 'tersor' | 'llama.cpp' | 'onnxruntime';
}

export interface Evaluation extends Summary {
  readonly bytes: number;
  readonly reference?: { readonly perplexity: number; readonly bytes: number };
}

/** What other runtimes run. */
const formats = {
  'llama.cpp': { format: 'gguf', name: 'GGUF files' },
  onnxruntime: { format: 'onnx', name: 'ONNX folders that tersor wrote' },
} as const;

const defaultContext = 512;
const defaultTokens = 20480;

/** Perplexity of a model on a text and, with `against`, its divergence from the original. */
export function evaluate(options: EvaluateOptions, hooks: Hooks = {}): Promise<Evaluation> {
  return withWorkshop(options, hooks, async (shop) => {
    const model = await shop.open(options.model);
    const { runtime = 'tersor' } = options;
    if (runtime !== 'tersor' && model.checkpoint.format !== formats[runtime].format) {
      const { name } = formats[runtime];
      throw new TersorError(`${runtime} runs ${name} only`, {
        file: model.checkpoint.path,
        remedy: `compress it to ${name} first, or leave --runtime out`,
      });
    }
    const against = options.against ? await shop.open(options.against) : undefined;
    if (against && against.architecture.vocabulary !== model.architecture.vocabulary) {
      throw new TersorError('the two models have different vocabularies and cannot be compared', {
        file: model.checkpoint.path,
        remedy: 'compare a model with its own original',
      });
    }
    // The original's tokenizer counts: a compressed file may have lost nothing but the original defines the text.
    const tokenizer = await shop.tokenizer(against ?? model);
    const context = options.context ?? Math.min(defaultContext, model.architecture.context);
    const sequences = chunk(tokenizer, await readText(options.text), context, options.text).slice(
      0,
      Math.max(1, Math.floor((options.tokens ?? defaultTokens) / context)),
    );
    const settings = { ...shop, ...hooks };
    const expected = against && (await predict(against, sequences, settings));
    const actual =
      runtime === 'tersor'
        ? await predict(model, sequences, settings)
        : await predictIn(runtime, model.checkpoint.path, sequences, shop);
    const { reference, ...summary } = await compare(sequences, actual, expected, settings);
    return {
      ...summary,
      bytes: model.checkpoint.bytes,
      ...(reference && against ? { reference: { ...reference, bytes: against.checkpoint.bytes } } : {}),
    };
  });
}
