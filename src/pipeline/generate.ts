import type { TensorSpec } from '../architecture/architecture.js';
import type { Model } from '../architecture/model.js';
import { findOnnxFile } from '../checkpoint/onnx/onnx.js';
import type { Portion } from '../checkpoint/stack/stack.js';
import { TersorError } from '../errors.js';
import { type OnnxDecoder, openOnnxDecoder } from '../runtime/onnx-decoder.js';
import { createSampler, type SamplingOptions } from '../runtime/sampling.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { encodeChat, type Message, renderChat } from '../text/chat.js';
import { floatDecoder } from '../writer/float-decoder.js';
import { type ContextOptions, withContext } from './context/context.js';
import type { Hooks } from './context/hooks.js';

export interface GenerateOptions extends SamplingOptions, ContextOptions {
  /** An ONNX model of tersor's, the folder that it lies in, or a stacked model. */
  readonly model: string;
  /** How much of a stacked file to use. */
  readonly portion?: Portion;
  readonly prompt: string;
  /** Give the prompt to the model's chat template, as what a user says. */
  readonly chat?: boolean;
  /** What the template gets as the system's message, before the user's. */
  readonly system?: string;
  /** Tokens to add to the prompt at most; 256 by default. */
  readonly maxTokens?: number;
  /** Tokens that prompt and text may have together; as many as the model was trained for by default. */
  readonly context?: number;
}

const conversation = ({ prompt, system }: Pick<GenerateOptions, 'prompt' | 'system'>): Message[] => [
  ...(system === undefined ? [] : [{ role: 'system', content: system } as const]),
  { role: 'user', content: prompt },
];

/**
 * What the chat template of a model makes of a prompt.
 * @throws TersorError when the model has no template, or a damaged one
 */
export function chatText(
  options: Pick<GenerateOptions, 'model' | 'prompt' | 'system'>,
  hooks: Hooks = {},
): Promise<string> {
  return withContext({ threads: 1 }, hooks, async (context) => {
    const { vocabulary } = await context.tokenizer(await context.open(options.model));
    return renderChat(vocabulary, conversation(options), options.model);
  });
}

/** What a tokenizer shows of bytes that are not a whole character yet. */
const incomplete = '\ufffd';

/**
 * Continues a prompt in onnxruntime.
 * @param onText receives the new text piece by piece
 * @returns the new text
 * @throws TersorError when the prompt is empty or does not fit into the context
 */
export function generate(
  options: GenerateOptions,
  onText: (text: string) => void,
  hooks: Hooks = {},
): Promise<string> {
  return withContext(options, hooks, async (context) => {
    const model = await context.open(options.model, options.portion);
    const { architecture, checkpoint } = model;
    const tokenizer = await context.tokenizer(model);
    const { special, addBos } = tokenizer.vocabulary;
    const bos = addBos && special.bos !== undefined ? [special.bos] : [];
    const tokens = options.chat
      ? encodeChat(tokenizer, await renderChat(tokenizer.vocabulary, conversation(options), options.model))
      : [...bos, ...tokenizer.encode(options.prompt)];
    const { maxTokens = 256, context: length = architecture.context } = options;
    if (tokens.length === 0)
      throw new TersorError('the prompt is empty', { remedy: 'give some text to continue' });
    if (tokens.length >= length) {
      throw new TersorError(`a prompt of ${tokens.length} tokens does not fit into a context of ${length}`, {
        remedy: 'shorten the prompt or raise --context',
      });
    }
    const ends = new Set([special.eos, checkpoint.metadata.eos_token_id].flat());
    const sample = createSampler(options);
    const decoder = await openDecoder(model, options.model, context);
    try {
      const start = tokenizer.decode(tokens).length;
      let emitted = '';
      let logits = await decoder.next(Int32Array.from(tokens));
      const emit = (last: boolean) => {
        const text = tokenizer.decode(tokens).slice(start);
        // Characters can be spread over several tokens: what is not complete waits for the next.
        if (text.length <= emitted.length || (!last && text.endsWith(incomplete))) return;
        onText(text.slice(emitted.length));
        emitted = text;
      };
      const room = Math.min(maxTokens, length - tokens.length);
      for (let count = 1; count <= room && !hooks.signal?.aborted; count++) {
        const token = sample(logits.subarray(-decoder.vocabulary));
        if (ends.has(token)) break;
        tokens.push(token);
        emit(false);
        if (count < room) logits = await decoder.next(Int32Array.of(token));
      }
      emit(true);
      return emitted;
    } finally {
      await decoder.release();
    }
  });
}

async function openDecoder(model: Model, path: string, options: RuntimeOptions): Promise<OnnxDecoder> {
  if (model.checkpoint.format === 'stack') {
    const weights = new Map<TensorSpec, Float32Array>();
    for (const spec of model.architecture.tensors) weights.set(spec, await model.read(spec));
    const { bytes } = floatDecoder(model.architecture, (spec) => weights.get(spec) ?? new Float32Array());
    return openOnnxDecoder(path, options, bytes);
  }
  const file = path.endsWith('.onnx') ? path : await findOnnxFile(path);
  if (!file) throw new TersorError('holds no ONNX model', { file: path, remedy: 'give its folder' });
  return openOnnxDecoder(file, options);
}
