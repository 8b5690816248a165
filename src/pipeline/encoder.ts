import type { Model } from '../architecture/model.js';
import { TersorError } from '../errors.js';
import { embed } from '../evaluation/embedding.js';
import { compareEmbeddings, type EmbeddingSummary } from '../evaluation/embedding-summary.js';
import { readText, spread } from '../text/corpus.js';
import { encodeTexts, splitSentences } from '../text/sentences.js';
import type { EvaluateOptions } from './evaluate.js';
import { checkAborted, type Hooks } from './hooks.js';
import type { Workshop } from './workshop.js';

/** An encoder's embeddings of a text's sentences beside the original's. */
export interface EncoderEvaluation extends EmbeddingSummary {
  readonly bytes: number;
  readonly reference: { readonly bytes: number };
}

const defaultTokens = 20480;

/** @throws TersorError where there is nothing to compare with, or too little text */
export async function encoderEvaluation(
  shop: Workshop,
  model: Model,
  against: Model | undefined,
  options: EvaluateOptions,
  hooks: Hooks,
): Promise<EncoderEvaluation> {
  const file = model.checkpoint.path;
  if (!against)
    throw new TersorError('embeddings of an encoder are measured beside those of its original', {
      file,
      remedy: 'name it with --against',
    });
  if (options.runtime && options.runtime !== 'tersor')
    throw new TersorError(`encoders are not run in ${options.runtime}`, {
      file,
      remedy: 'leave --runtime out',
    });
  const tokenizer = await shop.tokenizer(against);
  const context = options.context ?? model.architecture.context;
  const texts = encodeTexts(tokenizer, splitSentences(await readText(options.text)), context);
  const some = spread(texts, options.tokens ?? defaultTokens);
  if (some.length < 2)
    throw new TersorError(`the text has ${texts.length} sentences, too few to compare`, {
      file: options.text,
      remedy: 'give a longer text',
    });
  const summary = await compareModels(shop, model, against, some, hooks);
  return { ...summary, bytes: model.checkpoint.bytes, reference: { bytes: against.checkpoint.bytes } };
}

/** Embeddings of a model beside those of its original, both by tersor's own forward pass. */
export async function compareModels(
  shop: Workshop,
  model: Model,
  original: Model,
  texts: readonly Int32Array[],
  hooks: Hooks,
): Promise<EmbeddingSummary> {
  checkAborted(hooks);
  const settings = { ...shop, ...hooks };
  const expected = await embed(original, texts, settings);
  return compareEmbeddings(await embed(model, texts, settings), expected, shop);
}
