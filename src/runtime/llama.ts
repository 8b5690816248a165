import { access } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { TersorError } from '../errors.js';
import type { Llama, Pointer } from './llama-abi.js';
import { inBackground, llama, withErrorLog } from './llama-library.js';
import { copyFloats, freeNative, nativeBytes, nativeInt32 } from './llama-memory.js';
import { type GenerateOptions, makeSampler } from './llama-sampler.js';
import { threadChoices } from './llama-threads.js';

export interface LlamaOptions {
  /** Positions that fit into the KV cache; 512 by default. */
  readonly context?: number;
  /** At most; all processors by default. So many are used as make it fastest beside what else the machine does. */
  readonly threads?: number;
  /** Storage of keys and values; `f16`, llama.cpp's default, by default. */
  readonly kvType?: 'f32' | 'f16';
}

/** A text that a model wrote, and what that took, the prompt aside. */
export interface Generated {
  readonly text: string;
  readonly tokens: number;
  readonly seconds: number;
}

/** A GGUF file opened by llama.cpp. Calls on one model are carried out one after the other. */
export interface LlamaModel {
  readonly context: number;
  /** Positions that the model was trained on. */
  readonly trainedContext: number;
  /** Token that begins a text, when the vocabulary has one. */
  readonly bos: number | undefined;
  readonly eos: number | undefined;
  /** Whether the file asks for BOS in front of every text. */
  readonly addBos: boolean;
  vocabularySize(): number;
  /** Both options are false by default: the plain tokens of the text. */
  tokenize(
    text: string,
    options?: { readonly addSpecial?: boolean; readonly parseSpecial?: boolean },
  ): number[];
  detokenize(tokens: readonly number[]): string;
  /**
   * One forward pass over a sequence, from an empty KV cache.
   * @param options.from first position whose logits are wanted; 0 by default
   * @returns (tokens.length − from) × vocabulary, row-major; row i predicts token from + i + 1
   * @throws TersorError when the sequence is longer than the context
   */
  logits(tokens: readonly number[], options?: { readonly from?: number }): Promise<Float32Array>;
  /**
   * Continues a prompt, which gets the special tokens that the file asks for.
   * @param onText receives the new text piece by piece
   * @returns the new text, which ends before a token that ends a text or begins another
   */
  generate(prompt: string, options?: GenerateOptions, onText?: (text: string) => void): Promise<Generated>;
  close(): Promise<void>;
}

/**
 * Loads the library, for jobs that need it only at their end.
 * @throws TersorError when llama.cpp is not installed for this platform
 */
export function requireLlama(): void {
  llama();
}

/** Tokens per call of llama_decode: llama.cpp's own physical batch, and logits of this many fit in memory. */
const batchSize = 512;
const ggmlType = { f32: 0, f16: 1 } as const;
const flashAttentionDisabled = 0;

/**
 * Opens a GGUF file on this machine's processors.
 * @throws TersorError with llama.cpp's own words when it cannot load the file
 */
export async function openLlama(path: string, options: LlamaOptions = {}): Promise<LlamaModel> {
  const { context: length = 512, threads = availableParallelism(), kvType = 'f16' } = options;
  await access(path).catch((cause: unknown) => {
    throw new TersorError('cannot be read', { file: path, remedy: 'check the path', cause });
  });
  const api = llama();
  return withErrorLog(async (lastError) => {
    const fail = (what: string) => {
      const reason = lastError()?.replace(/^\w+: /, '');
      return new TersorError(`llama.cpp cannot ${what}${reason ? ` (${oneLine(reason)})` : ''}`, {
        file: path,
      });
    };
    const model = await inBackground(api.llama_model_load_from_file, path, {
      ...api.llama_model_default_params(),
      n_gpu_layers: 0,
    });
    if (model === null) throw fail('load the model');
    const context = await inBackground(api.llama_init_from_model, model, {
      ...api.llama_context_default_params(),
      n_ctx: length,
      n_batch: batchSize,
      n_ubatch: batchSize,
      n_outputs_max: batchSize,
      n_outputs_max_per_seq: batchSize,
      n_threads: threads,
      n_threads_batch: threads,
      flash_attn_type: flashAttentionDisabled,
      type_k: ggmlType[kvType],
      type_v: ggmlType[kvType],
      offload_kqv: false,
      op_offload: false,
    });
    if (context === null) {
      api.llama_model_free(model);
      throw fail(`make a context of ${length} tokens`);
    }
    return wrap(api, { path, model, context, length, threads });
  });
}

const oneLine = (text: string) => text.replace(/\s+/g, ' ').trim();

interface Handles {
  readonly path: string;
  readonly model: Pointer;
  readonly context: Pointer;
  readonly length: number;
  readonly threads: number;
}

function wrap(api: Llama, { path, model, context, length, threads }: Handles): LlamaModel {
  const vocabulary = api.llama_model_get_vocab(model);
  const vocabularySize = api.llama_vocab_n_tokens(vocabulary);
  const memory = api.llama_get_memory(context);
  const tokenBatch = nativeInt32(batchSize);
  const outputBatch = nativeBytes(batchSize);
  const choiceFor = threadChoices(threads, Number(api.llama_model_n_params(model)));
  const special = (token: number) => (token < 0 ? undefined : token);
  const bos = special(api.llama_vocab_bos(vocabulary));

  let queue: Promise<unknown> = Promise.resolve();
  let closed = false;
  const exclusively = <T>(job: () => Promise<T>): Promise<T> => {
    const result = queue.then(() => {
      if (closed) throw new Error(`${path} is closed`);
      return job();
    });
    queue = result.catch(() => {});
    return result;
  };

  /** Appends tokens to the KV cache; those from index `from` on leave logits. */
  const decode = async (tokens: readonly number[], from: number): Promise<void> => {
    tokenBatch.array.set(tokens);
    outputBatch.array.fill(0).fill(1, from, tokens.length);
    const choice = choiceFor(tokens.length);
    const chosen = choice.next();
    api.llama_set_n_threads(context, chosen, chosen);
    const begin = performance.now();
    const status = await inBackground(api.llama_decode, context, {
      n_tokens: tokens.length,
      token: tokenBatch.pointer,
      embd: null,
      pos: null,
      n_seq_id: null,
      seq_id: null,
      logits: outputBatch.pointer,
    });
    choice.took(performance.now() - begin);
    if (status !== 0) {
      throw new TersorError(`llama.cpp failed to decode ${tokens.length} tokens (status ${status})`, {
        file: path,
        remedy: 'check that every token is in the vocabulary and that memory suffices',
      });
    }
  };

  const tokenize: LlamaModel['tokenize'] = (text, { addSpecial = false, parseSpecial = false } = {}) => {
    const bytes = new TextEncoder().encode(text);
    const into = (tokens: Int32Array) =>
      api.llama_tokenize(vocabulary, bytes, bytes.length, tokens, tokens.length, addSpecial, parseSpecial);
    // No token is shorter than a byte; two more for BOS and EOS, one for a space in front.
    const tokens = new Int32Array(bytes.length + 3);
    const count = into(tokens);
    if (count < 0) throw new Error(`llama_tokenize wants room for ${-count} tokens`);
    return Array.from(tokens.subarray(0, count));
  };

  const piece = (token: number): Uint8Array => {
    const bytes = new Uint8Array(longestPiece);
    const count = api.llama_token_to_piece(vocabulary, token, bytes, bytes.length, 0, false);
    return bytes.subarray(0, Math.max(0, count));
  };

  return {
    context: length,
    trainedContext: api.llama_model_n_ctx_train(model),
    bos,
    eos: special(api.llama_vocab_eos(vocabulary)),
    addBos: api.llama_vocab_get_add_bos(vocabulary),
    vocabularySize: () => vocabularySize,
    tokenize,

    detokenize(tokens) {
      const ids = Int32Array.from(tokens);
      const into = (bytes: Uint8Array) =>
        api.llama_detokenize(vocabulary, ids, ids.length, bytes, bytes.length, false, false);
      let bytes = new Uint8Array(ids.length * 16 + 16);
      let count = into(bytes);
      if (count < 0) {
        bytes = new Uint8Array(-count);
        count = into(bytes);
      }
      return new TextDecoder().decode(bytes.subarray(0, count));
    },

    logits: (tokens, { from = 0 } = {}) =>
      exclusively(async () => {
        if (tokens.length > length) {
          throw new TersorError(`${tokens.length} tokens do not fit into a context of ${length}`, {
            code: 'invalid-option',
            file: path,
          });
        }
        const result = new Float32Array(Math.max(0, tokens.length - from) * vocabularySize);
        api.llama_memory_clear(memory, true);
        for (let start = 0; start < tokens.length; start += batchSize) {
          const batch = tokens.slice(start, start + batchSize);
          const first = Math.min(Math.max(0, from - start), batch.length);
          await decode(batch, first);
          if (first === batch.length) continue;
          const rows = result
            .subarray((start + first - from) * vocabularySize)
            .subarray(0, (batch.length - first) * vocabularySize);
          copyFloats(api.llama_get_logits(context), rows);
        }
        return result;
      }),

    generate: (prompt, settings = {}, onText = () => {}) =>
      exclusively(async () => {
        const { maxTokens = 256, complete = false, signal } = settings;
        const tokens = tokenize(prompt, { addSpecial: !complete, parseSpecial: true });
        if (tokens.length === 0)
          throw new TersorError('the prompt is empty', { remedy: 'give some text to continue' });
        if (tokens.length >= length) {
          throw new TersorError(
            `a prompt of ${tokens.length} tokens does not fit into a context of ${length}`,
            {
              remedy: 'shorten the prompt or allow a longer context',
            },
          );
        }
        const sampler = makeSampler(api, settings);
        const decoder = new TextDecoder();
        let [text, count] = ['', 0];
        const emit = (part: string) => {
          text += part;
          if (part) onText(part);
        };
        try {
          api.llama_memory_clear(memory, true);
          for (let start = 0; start < tokens.length; start += batchSize) {
            const batch = tokens.slice(start, start + batchSize);
            await decode(batch, batch.length - 1);
          }
          const begin = performance.now();
          const room = Math.min(maxTokens, length - tokens.length);
          while (count < room && !signal?.aborted) {
            const token = api.llama_sampler_sample(sampler, context, -1);
            if (token === bos || api.llama_vocab_is_eog(vocabulary, token)) break;
            count++;
            emit(decoder.decode(piece(token), { stream: true }));
            if (count < room) await decode([token], 0);
          }
          emit(decoder.decode());
          return { text, tokens: count, seconds: (performance.now() - begin) / 1000 };
        } finally {
          api.llama_sampler_free(sampler);
        }
      }),

    close: async () => {
      await queue;
      if (closed) return;
      closed = true;
      api.llama_free(context);
      api.llama_model_free(model);
      freeNative(tokenBatch, outputBatch);
    },
  };
}

/** Bytes of the longest token text that generation prints; vocabularies stay far below. */
const longestPiece = 1024;
