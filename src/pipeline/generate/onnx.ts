import type { TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import { findOnnxFile } from '../../checkpoint/onnx/onnx.js';
import { TersorError } from '../../errors.js';
import { required } from '../../required.js';
import { type OnnxDecoder, openOnnxDecoder } from '../../runtime/onnx-decoder.js';
import { createSampler } from '../../runtime/sampling.js';
import type { RuntimeOptions } from '../../runtime/session.js';
import { encodeChat, renderChat } from '../../text/chat.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import { floatDecoder } from '../../writer/float-decoder.js';
import type { Context } from '../context/context.js';
import { conversation, type GenerateOptions, type GenerateResult } from './options.js';

/** What a tokenizer shows of bytes that are not a whole character yet. */
const incomplete = '\ufffd';

/**
 * Continues a prompt with an ONNX or stacked model in onnxruntime, piece by piece.
 * @throws TersorError when the prompt is empty or does not fit into the context
 */
export async function* generateWithOnnx(
  context: Context,
  options: GenerateOptions,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, GenerateResult, void> {
  const model = await context.open(options.model, options.portion);
  const { architecture, checkpoint } = model;
  const tokenizer = await context.tokenizer(model);
  const { special, ends: listed = [] } = tokenizer.vocabulary;
  const tokens = await promptTokens(tokenizer, options);
  const { maxTokens = 256, context: length = architecture.context } = options;
  if (tokens.length === 0)
    throw new TersorError('the prompt is empty', { remedy: 'give some text to continue' });
  if (tokens.length >= length) {
    throw new TersorError(`a prompt of ${tokens.length} tokens does not fit into a context of ${length}`, {
      remedy: 'shorten the prompt or allow a longer context',
    });
  }
  // A model that begins another text has ended this one.
  const ends = new Set([special.eos, special.bos, ...listed, checkpoint.metadata.eos_token_id].flat());
  const sample = createSampler(options);
  const decoder = await openDecoder(model, options.model, context);
  try {
    const start = tokenizer.decode(tokens).length;
    let emitted = 0;
    /** What is new, without the beginning of a character that is spread over several tokens. */
    const fresh = (last: boolean): string => {
      const text = tokenizer.decode(tokens).slice(start);
      if (text.length <= emitted || (!last && text.endsWith(incomplete))) return '';
      const piece = text.slice(emitted);
      emitted = text.length;
      return piece;
    };
    let logits = await decoder.next(Int32Array.from(tokens));
    const begin = performance.now();
    const room = Math.min(maxTokens, length - tokens.length);
    let count = 0;
    while (count < room) {
      signal?.throwIfAborted();
      const token = sample(logits.subarray(-decoder.vocabulary));
      if (ends.has(token)) break;
      count++;
      tokens.push(token);
      const piece = fresh(false);
      if (piece) yield piece;
      if (count < room) logits = await decoder.next(Int32Array.of(token));
    }
    const rest = fresh(true);
    if (rest) yield rest;
    return { tokens: count, seconds: (performance.now() - begin) / 1000 };
  } finally {
    await decoder.release();
  }
}

async function promptTokens(tokenizer: Tokenizer, options: GenerateOptions): Promise<number[]> {
  const { vocabulary } = tokenizer;
  if (options.chat)
    return encodeChat(tokenizer, await renderChat(vocabulary, conversation(options), options.model));
  const { special, addBos } = vocabulary;
  const bos = addBos && special.bos !== undefined ? [special.bos] : [];
  return [...bos, ...tokenizer.encode(options.prompt)];
}

async function openDecoder(model: Model, path: string, options: RuntimeOptions): Promise<OnnxDecoder> {
  if (model.checkpoint.format === 'stack') {
    const weights = new Map<TensorSpec, Float32Array>();
    for (const spec of model.architecture.tensors) weights.set(spec, await model.read(spec));
    const { bytes } = floatDecoder(model.architecture, (spec) => required(weights, spec));
    return openOnnxDecoder(path, options, bytes);
  }
  const file = path.endsWith('.onnx') ? path : await findOnnxFile(path);
  if (!file) throw new TersorError('holds no ONNX model', { file: path, remedy: 'give its folder' });
  return openOnnxDecoder(file, options);
}
