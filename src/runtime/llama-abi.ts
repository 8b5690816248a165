import koffi, { type KoffiFunc, type TypeObject } from 'koffi';

/**
 * What of libllama's binary interface tersor uses, after llama.h of llama.cpp v0.5.0. Structs are passed by value,
 * so they must match that release field by field; llama-library.ts verifies it.
 */

/** The address of something in the library's memory; null is C's NULL. */
export type Pointer = bigint | null;

export const struct = {
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

/** A struct by the names of its fields. */
export type Fields = Record<string, number | boolean | Pointer>;

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
  llama_model_n_params(model: Pointer): number | bigint;
  llama_init_from_model(model: Pointer, params: Fields): Pointer;
  llama_free(context: Pointer): void;
  llama_set_n_threads(context: Pointer, threads: number, batchThreads: number): void;
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

export type Declaration = readonly [result: TypeObject | string, ...parameters: (TypeObject | string)[]];

/** Result and parameters of every function. */
export const declarations = {
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
  llama_model_n_params: ['uint64_t', 'void *'],
  llama_init_from_model: ['void *', 'void *', struct.context],
  llama_free: ['void', 'void *'],
  llama_set_n_threads: ['void', 'void *', 'int32_t', 'int32_t'],
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
