import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import koffi, { type KoffiFunc, type TypeObject } from 'koffi';
import { TersorError } from '../errors.js';

/**
 * libllama as it is published in @node-llama-cpp/<platform>, called through koffi. Declarations follow
 * llama.h, ggml.h and ggml-backend.h of llama.cpp v0.5.0; structs are passed by value, so they must match
 * that release field by field, which `checkLayout` verifies on the defaults that the library itself returns.
 */
const release = '0.5.0';
const packageVersion = '3.22.1';

/** Packages by `process.platform`-`process.arch`. */
const packages: Readonly<Record<string, string>> = {
  'linux-x64': 'linux-x64',
  'linux-arm64': 'linux-arm64',
  'darwin-x64': 'mac-x64',
  'darwin-arm64': 'mac-arm64-metal',
  'win32-x64': 'win-x64',
  'win32-arm64': 'win-arm64',
};

// Model loading and graph building recurse deeper than the 128 KiB that koffi gives asynchronous calls.
koffi.config({ async_stack_size: 8 * 1024 * 1024, async_heap_size: 1024 * 1024 });

/** The address of something in the library's memory; null is C's NULL. */
export type Pointer = bigint | null;

const struct = {
  model: koffi.struct({
    devices: 'void *',
    tensor_buft_overrides: 'void *',
    n_gpu_layers: 'int32_t',
    split_mode: 'int32_t',
    load_mode: 'int32_t',
    lazy_mode: 'int32_t',
    main_gpu: 'int32_t',
    tensor_split: 'void *',
    progress_callback: 'void *',
    progress_callback_user_data: 'void *',
    kv_overrides: 'void *',
    vocab_only: 'bool',
    check_tensors: 'bool',
    use_extra_bufts: 'bool',
    no_host: 'bool',
    no_alloc: 'bool',
    load_mtp: 'bool',
  }),
  context: koffi.struct({
    n_ctx: 'uint32_t',
    n_batch: 'uint32_t',
    n_ubatch: 'uint32_t',
    n_seq_max: 'uint32_t',
    n_rs_seq: 'uint32_t',
    n_outputs_max: 'uint32_t',
    n_outputs_max_per_seq: 'uint32_t',
    n_threads: 'int32_t',
    n_threads_batch: 'int32_t',
    ctx_type: 'int32_t',
    rope_scaling_type: 'int32_t',
    pooling_type: 'int32_t',
    attention_type: 'int32_t',
    flash_attn_type: 'int32_t',
    rope_freq_base: 'float',
    rope_freq_scale: 'float',
    yarn_ext_factor: 'float',
    yarn_attn_factor: 'float',
    yarn_beta_fast: 'float',
    yarn_beta_slow: 'float',
    yarn_orig_ctx: 'uint32_t',
    defrag_thold: 'float',
    cb_eval: 'void *',
    cb_eval_user_data: 'void *',
    type_k: 'int32_t',
    type_v: 'int32_t',
    abort_callback: 'void *',
    abort_callback_data: 'void *',
    embeddings: 'bool',
    offload_kqv: 'bool',
    no_perf: 'bool',
    op_offload: 'bool',
    swa_full: 'bool',
    kv_unified: 'bool',
    samplers: 'void *',
    n_samplers: 'size_t',
    ctx_other: 'void *',
  }),
  quantize: koffi.struct({
    nthread: 'int32_t',
    ftype: 'int32_t',
    output_tensor_type: 'int32_t',
    token_embedding_type: 'int32_t',
    allow_requantize: 'bool',
    quantize_output_tensor: 'bool',
    only_copy: 'bool',
    pure: 'bool',
    keep_split: 'bool',
    dry_run: 'bool',
    imatrix: 'void *',
    kv_overrides: 'void *',
    tt_overrides: 'void *',
    prune_layers: 'void *',
    max_buf_size: 'size_t',
  }),
  batch: koffi.struct({
    n_tokens: 'int32_t',
    token: 'void *',
    embd: 'void *',
    pos: 'void *',
    n_seq_id: 'void *',
    seq_id: 'void *',
    logits: 'void *',
  }),
  samplerChain: koffi.struct({ no_perf: 'bool' }),
  imatrix: koffi.struct({ name: 'void *', data: 'void *', size: 'size_t' }),
  tensorOverride: koffi.struct({ pattern: 'void *', type: 'int32_t' }),
};

/** Terminated lists that `llama_model_quantize` takes by pointer. */
export const imatrixEntry = struct.imatrix;
export const tensorOverride = struct.tensorOverride;

type Fields = Record<string, number | boolean | Pointer>;

interface Signatures {
  llama_version(): string;
  llama_log_set(callback: Pointer, data: Pointer): void;
  llama_backend_init(): void;
  llama_model_default_params(): Fields;
  llama_context_default_params(): Fields;
  llama_model_quantize_default_params(): Fields;
  llama_sampler_chain_default_params(): Fields;
  llama_model_load_from_file(path: string, params: Fields): Pointer;
  llama_model_free(model: Pointer): void;
  llama_model_get_vocab(model: Pointer): Pointer;
  llama_model_n_ctx_train(model: Pointer): number;
  llama_init_from_model(model: Pointer, params: Fields): Pointer;
  llama_free(context: Pointer): void;
  llama_get_memory(context: Pointer): Pointer;
  llama_memory_clear(memory: Pointer, data: boolean): void;
  llama_decode(context: Pointer, batch: Fields): number;
  llama_get_logits(context: Pointer): Pointer;
  llama_vocab_n_tokens(vocabulary: Pointer): number;
  llama_vocab_bos(vocabulary: Pointer): number;
  llama_vocab_eos(vocabulary: Pointer): number;
  llama_vocab_get_add_bos(vocabulary: Pointer): boolean;
  llama_vocab_is_eog(vocabulary: Pointer, token: number): boolean;
  llama_tokenize(
    vocabulary: Pointer,
    text: Uint8Array,
    length: number,
    tokens: Int32Array,
    room: number,
    addSpecial: boolean,
    parseSpecial: boolean,
  ): number;
  llama_token_to_piece(
    vocabulary: Pointer,
    token: number,
    text: Uint8Array,
    room: number,
    lstrip: number,
    special: boolean,
  ): number;
  llama_detokenize(
    vocabulary: Pointer,
    tokens: Int32Array,
    length: number,
    text: Uint8Array,
    room: number,
    removeSpecial: boolean,
    special: boolean,
  ): number;
  llama_sampler_chain_init(params: Fields): Pointer;
  llama_sampler_chain_add(chain: Pointer, sampler: Pointer): void;
  llama_sampler_init_greedy(): Pointer;
  llama_sampler_init_dist(seed: number): Pointer;
  llama_sampler_init_top_k(k: number): Pointer;
  llama_sampler_init_top_p(p: number, keep: number): Pointer;
  llama_sampler_init_temp(temperature: number): Pointer;
  llama_sampler_sample(chain: Pointer, context: Pointer, index: number): number;
  llama_sampler_free(sampler: Pointer): void;
  llama_model_quantize(input: string, output: string, params: Fields): number;
}

type Declaration = readonly [result: TypeObject | string, ...parameters: (TypeObject | string)[]];

const declarations = {
  llama_version: ['str'],
  llama_log_set: ['void', 'void *', 'void *'],
  llama_backend_init: ['void'],
  llama_model_default_params: [struct.model],
  llama_context_default_params: [struct.context],
  llama_model_quantize_default_params: [struct.quantize],
  llama_sampler_chain_default_params: [struct.samplerChain],
  llama_model_load_from_file: ['void *', 'str', struct.model],
  llama_model_free: ['void', 'void *'],
  llama_model_get_vocab: ['void *', 'void *'],
  llama_model_n_ctx_train: ['int32_t', 'void *'],
  llama_init_from_model: ['void *', 'void *', struct.context],
  llama_free: ['void', 'void *'],
  llama_get_memory: ['void *', 'void *'],
  llama_memory_clear: ['void', 'void *', 'bool'],
  llama_decode: ['int32_t', 'void *', struct.batch],
  llama_get_logits: ['void *', 'void *'],
  llama_vocab_n_tokens: ['int32_t', 'void *'],
  llama_vocab_bos: ['int32_t', 'void *'],
  llama_vocab_eos: ['int32_t', 'void *'],
  llama_vocab_get_add_bos: ['bool', 'void *'],
  llama_vocab_is_eog: ['bool', 'void *', 'int32_t'],
  llama_tokenize: ['int32_t', 'void *', 'void *', 'int32_t', 'void *', 'int32_t', 'bool', 'bool'],
  llama_token_to_piece: ['int32_t', 'void *', 'int32_t', 'void *', 'int32_t', 'int32_t', 'bool'],
  llama_detokenize: ['int32_t', 'void *', 'void *', 'int32_t', 'void *', 'int32_t', 'bool', 'bool'],
  llama_sampler_chain_init: ['void *', struct.samplerChain],
  llama_sampler_chain_add: ['void', 'void *', 'void *'],
  llama_sampler_init_greedy: ['void *'],
  llama_sampler_init_dist: ['void *', 'uint32_t'],
  llama_sampler_init_top_k: ['void *', 'int32_t'],
  llama_sampler_init_top_p: ['void *', 'float', 'size_t'],
  llama_sampler_init_temp: ['void *', 'float'],
  llama_sampler_sample: ['int32_t', 'void *', 'void *', 'int32_t'],
  llama_sampler_free: ['void', 'void *'],
  llama_model_quantize: ['uint32_t', 'str', 'str', koffi.pointer(struct.quantize)],
} satisfies Record<keyof Signatures, Declaration>;

export type Llama = { readonly [Name in keyof Signatures]: KoffiFunc<Signatures[Name]> };

let loaded: Llama | undefined;
let quiet: Pointer = null;

/**
 * The library's functions, loaded on first use.
 * @throws TersorError when its package is not installed or holds another release
 */
export function llama(): Llama {
  loaded ??= load();
  return loaded;
}

function load(): Llama {
  const folder = libraryFolder();
  const file = (stem: string) => {
    const pattern = new RegExp(`^(lib)?${stem}(\\.v[\\d.]+)?\\.(so|dylib|dll)$`);
    const name = readdirSync(folder).find((entry) => pattern.test(entry));
    if (!name) throw new TersorError(`there is no ${stem} library`, { file: folder, remedy: reinstall() });
    return join(folder, name);
  };
  // Dependencies first, so that libllama finds them loaded whatever the platform's search path.
  koffi.load(file('ggml-base'));
  const ggml = koffi.load(file('ggml'));
  const library = koffi.load(file('llama'));
  const functions = Object.fromEntries(
    Object.entries(declarations).map(([name, [result, ...parameters]]: [string, Declaration]) => [
      name,
      library.func(name, result, parameters),
    ]),
  ) as unknown as Llama;

  // A log callback that does nothing, on any thread, even while the process ends: libllama's own clock.
  quiet = library.symbol('llama_time_us');
  functions.llama_log_set(quiet, null);
  const version = functions.llama_version();
  if (!version.replace(/^v/, '').startsWith(release)) {
    throw new TersorError(`llama.cpp ${version} is installed and ${release} is needed`, {
      file: folder,
      remedy: reinstall(),
    });
  }
  checkLayout(functions);
  ggml.func('ggml_backend_load_all_from_path', 'void', ['str'])(folder);
  functions.llama_backend_init();
  return functions;
}

const packageName = () => packages[`${process.platform}-${process.arch}`];
const reinstall = () => `run npm install @node-llama-cpp/${packageName()}@${packageVersion}`;

function libraryFolder(): string {
  const name = packageName();
  if (!name) {
    throw new TersorError(`there is no llama.cpp for ${process.platform}-${process.arch}`, {
      remedy: `use one of ${Object.keys(packages).join(', ')}`,
    });
  }
  try {
    const entry = createRequire(import.meta.url).resolve(`@node-llama-cpp/${name}`);
    return join(dirname(dirname(entry)), 'bins', name);
  } catch (cause) {
    throw new TersorError(`llama.cpp (@node-llama-cpp/${name}) is not installed`, {
      remedy: reinstall(),
      cause,
    });
  }
}

/** Defaults that llama.cpp v0.5.0 sets; a shifted field would show in at least one of them. */
function checkLayout(functions: Llama): void {
  const expected: [Fields, Fields][] = [
    [
      functions.llama_model_default_params(),
      { n_gpu_layers: -1, lazy_mode: 1, use_extra_bufts: true, load_mtp: false },
    ],
    [
      functions.llama_context_default_params(),
      {
        n_ctx: 512,
        n_batch: 2048,
        flash_attn_type: -1,
        yarn_orig_ctx: 0,
        defrag_thold: -1,
        type_k: 1,
        type_v: 1,
      },
    ],
    [
      functions.llama_context_default_params(),
      { embeddings: false, swa_full: true, n_samplers: 0, ctx_other: null },
    ],
    [
      functions.llama_model_quantize_default_params(),
      { ftype: 7, output_tensor_type: 43, quantize_output_tensor: true, max_buf_size: 8 * 1024 ** 3 },
    ],
  ];
  for (const [actual, fields] of expected) {
    for (const [name, value] of Object.entries(fields)) {
      if (actual[name] !== value) {
        throw new TersorError(
          `llama.cpp's ${name} is ${actual[name]} and not ${value}: its interface differs`,
          {
            remedy: reinstall(),
          },
        );
      }
    }
  }
}

const logLevelError = 4; // GGML_LOG_LEVEL_ERROR
const logCallback = koffi.pointer(koffi.proto('void', ['int', 'str', 'void *']));
let listeners = 0;
let collected: string[] = [];
let callback: bigint | undefined;

/**
 * Runs a job during which the library's error messages are collected; `lastError` gives the newest one.
 * Only asynchronous calls may run inside: the library logs from other threads and waits for this one.
 */
export async function withErrorLog<T>(job: (lastError: () => string | undefined) => Promise<T>): Promise<T> {
  const { llama_log_set } = llama();
  if (listeners++ === 0) {
    collected = [];
    callback = koffi.register((level: number, text: string) => {
      if (level === logLevelError) collected.push(text.trim());
    }, logCallback);
    llama_log_set(callback, null);
  }
  try {
    return await job(() => collected.at(-1));
  } finally {
    if (--listeners === 0 && callback !== undefined) {
      llama_log_set(quiet, null);
      koffi.unregister(callback);
    }
  }
}

/** Memory of the library's side: it stays where it is while an asynchronous call works on it. */
export interface NativeArray<T> {
  readonly pointer: bigint;
  readonly array: T;
}

export function nativeInt32(length: number): NativeArray<Int32Array> {
  const { pointer, array } = nativeMemory(length * 4);
  return { pointer, array: new Int32Array(array) };
}

export function nativeFloats(length: number): NativeArray<Float32Array> {
  const { pointer, array } = nativeMemory(length * 4);
  return { pointer, array: new Float32Array(array) };
}

export function nativeBytes(length: number): NativeArray<Uint8Array> {
  const { pointer, array } = nativeMemory(length);
  return { pointer, array: new Uint8Array(array) };
}

/** An array of structs, with the values given. */
export function nativeStructs(type: TypeObject, values: readonly Fields[]): NativeArray<ArrayBuffer> {
  const memory = nativeMemory(type.size * values.length);
  values.forEach((value, index) => {
    koffi.encode(memory.pointer, index * type.size, type, value);
  });
  return memory;
}

function nativeMemory(bytes: number): NativeArray<ArrayBuffer> {
  const pointer: bigint = koffi.alloc('uint8_t', bytes);
  return { pointer, array: koffi.view(pointer, bytes) };
}

/** Releases memory; the arrays on it must not be used any more. */
export function freeNative(...arrays: readonly NativeArray<unknown>[]): void {
  for (const { pointer } of arrays) koffi.free(pointer);
}

/** Copies floats out of the library's memory. */
export function copyFloats(from: Pointer, into: Float32Array): void {
  into.set(new Float32Array(koffi.view(from, into.byteLength)));
}

/** Calls a function on a thread of its own; the event loop goes on meanwhile. */
export function inBackground<A extends unknown[], R>(
  called: KoffiFunc<(...args: A) => R>,
  ...args: A
): Promise<R> {
  return new Promise((resolve, reject) => {
    called.async(...args, (error: unknown, result: R) => (error ? reject(error) : resolve(result)));
  });
}
