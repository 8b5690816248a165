import type { Model } from '../architecture/model.js';
import { TersorError } from '../errors.js';
import { compare } from '../evaluation/compare.js';
import { predict } from '../evaluation/predictor.js';
import { chunk, readText } from '../text/corpus.js';
import type { Summary } from '../types.js';
import { type Context, withContext } from './context/context.js';
import type { Hooks, JobHooks } from './context/hooks.js';
import { evaluationSteps } from './context/steps.js';
import { runtimes } from './formats/runtime.js';
import { type EncoderEvaluation, encoderEvaluation } from './measure/encoder.js';
import { defaultEvaluationTokens, type EvaluateOptions } from './options.js';

export interface Evaluation extends Summary {
  readonly bytes: number;
  readonly reference?: { readonly perplexity: number; readonly bytes: number };
}

const defaultContext = 512;

/**
 * Perplexity of a model on a text and, with `against`, its divergence from the original.
 * @throws TersorError for an encoder, which predicts no tokens
 */
export async function evaluate(options: EvaluateOptions, caller: JobHooks = {}): Promise<Evaluation> {
  const result = await assess(options, caller);
  if ('perplexity' in result) return result;
  throw new TersorError('an encoder predicts no tokens', {
    code: 'unsupported',
    file: options.model,
    remedy: 'measure its embeddings with evaluateEncoder',
  });
}

/**
 * How near an encoder's embeddings of a text's sentences are to those of `against`, the original.
 * @throws TersorError for a language model
 */
export async function evaluateEncoder(
  options: EvaluateOptions & { readonly against: string },
  caller: JobHooks = {},
): Promise<EncoderEvaluation> {
  const result = await assess(options, caller);
  if ('cosine' in result) return result;
  throw new TersorError('a language model has no embeddings', {
    code: 'unsupported',
    file: options.model,
    remedy: 'measure its predictions with evaluate',
  });
}

/** Measures a model by what it is for. */
export function assess(
  options: EvaluateOptions,
  caller: JobHooks = {},
): Promise<Evaluation | EncoderEvaluation> {
  return withContext(options, caller, async (context, hooks) => {
    context.expect(evaluationSteps(options.against !== undefined));
    const model = await context.open(options.model, options.portion);
    if (options.portion && model.checkpoint.format !== 'stack')
      throw new TersorError('only a part of a stacked file is a model', {
        code: 'invalid-option',
        file: model.checkpoint.path,
        remedy: 'use all of it, or compress to a .stack',
      });
    const { runtime = 'tersor' } = options;
    if (runtime !== 'tersor' && model.checkpoint.format !== runtimes[runtime].runs.format) {
      const { name } = runtimes[runtime].runs;
      throw new TersorError(`${runtime} runs ${name} only`, {
        code: 'unsupported',
        file: model.checkpoint.path,
        remedy: `compress it to ${name} first, or evaluate it in tersor itself`,
      });
    }
    const against = options.against ? await context.open(options.against) : undefined;
    const [one, other] = [model.architecture, against?.architecture ?? model.architecture];
    if (one.vocabulary !== other.vocabulary || one.objective !== other.objective) {
      throw new TersorError('the two models have different vocabularies and cannot be compared', {
        code: 'invalid-option',
        file: model.checkpoint.path,
        remedy: 'compare a model with its own original',
      });
    }
    return context.stopwatch.time<Evaluation | EncoderEvaluation>('measure', () =>
      one.objective === 'embedding'
        ? encoderEvaluation(context, model, against, options, hooks)
        : predictionEvaluation(context, model, against, options, hooks),
    );
  });
}

async function predictionEvaluation(
  context: Context,
  model: Model,
  against: Model | undefined,
  options: EvaluateOptions,
  hooks: Hooks,
): Promise<Evaluation> {
  // The original's tokenizer counts: a compressed file may have lost nothing but the original defines the text.
  const tokenizer = await context.tokenizer(against ?? model);
  const length = options.context ?? Math.min(defaultContext, model.architecture.context);
  const sequences = chunk(tokenizer, await readText(options.text), length, options.text).slice(
    0,
    Math.max(1, Math.floor((options.tokens ?? defaultEvaluationTokens) / length)),
  );
  const settings = { ...context, ...hooks };
  const expected = against && (await predict(against, sequences, settings));
  const { runtime = 'tersor' } = options;
  const actual =
    runtime === 'tersor'
      ? await predict(model, sequences, settings)
      : await runtimes[runtime].predict(model.checkpoint.path, sequences, context);
  const { reference, ...summary } = await compare(sequences, actual, expected, settings);
  return {
    ...summary,
    bytes: model.checkpoint.bytes,
    ...(reference && against ? { reference: { ...reference, bytes: against.checkpoint.bytes } } : {}),
  };
}
