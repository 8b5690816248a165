import type { Model } from '../../architecture/model.js';
import { TersorError } from '../../errors.js';
import { embed } from '../../evaluation/embedding.js';
import { compareEmbeddings } from '../../evaluation/embedding-summary.js';
import { readText, spread } from '../../text/corpus.js';
import { encodeTexts, splitSentences } from '../../text/sentences.js';
import type { EmbeddingSummary } from '../../types.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import { type Runtime, runtimes } from '../formats/runtime.js';
import type { EvaluateOptions } from '../options.js';

/** An encoder's embeddings of a text's sentences beside the original's. */
export interface EncoderEvaluation extends EmbeddingSummary {
  readonly bytes: number;
  readonly reference: { readonly bytes: number };
}

const defaultTokens = 20480;

/** @throws TersorError where there is nothing to compare with, or too little text */
export async function encoderEvaluation(
  context: Context,
  model: Model,
  against: Model | undefined,
  options: EvaluateOptions,
  hooks: Hooks,
): Promise<EncoderEvaluation> {
  const file = model.checkpoint.path;
  if (!against)
    throw new TersorError('embeddings of an encoder are measured beside those of its original', {
      code: 'invalid-option',
      file,
      remedy: 'name it with --against',
    });
  const tokenizer = await context.tokenizer(against);
  const length = options.context ?? model.architecture.context;
  const texts = encodeTexts(tokenizer, splitSentences(await readText(options.text)), length);
  const some = spread(texts, options.tokens ?? defaultTokens);
  if (some.length < 2)
    throw new TersorError(`the text has ${texts.length} sentences, too few to compare`, {
      file: options.text,
      remedy: 'give a longer text',
    });
  const settings = { ...context, ...hooks };
  const { runtime } = options;
  const expected = await embed(against, some, settings);
  const actual =
    runtime && runtime !== 'tersor'
      ? await embedIn(runtimes[runtime], model, some, context)
      : await embed(model, some, settings);
  const summary = await compareEmbeddings(actual, expected, context);
  return { ...summary, bytes: model.checkpoint.bytes, reference: { bytes: against.checkpoint.bytes } };
}

function embedIn(runtime: Runtime, model: Model, texts: readonly Int32Array[], context: Context) {
  const file = model.checkpoint.path;
  if (runtime.embed) return runtime.embed(file, model.architecture, texts, context);
  throw new TersorError(`${runtime.name} embeds no texts`, {
    code: 'unsupported',
    file,
    remedy: 'evaluate it in another runtime, or in tersor itself',
  });
}
