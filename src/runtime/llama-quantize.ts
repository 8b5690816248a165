import { availableParallelism } from 'node:os';
import { TersorError } from '../errors.js';
import {
  freeNative,
  imatrixEntry,
  inBackground,
  llama,
  type NativeArray,
  nativeBytes,
  nativeFloats,
  nativeStructs,
  tensorOverride,
  withErrorLog,
} from './llama-library.js';

/**
 * enum llama_ftype of llama.h (v0.5.0) by the name that its command line uses in lower case, and, for the
 * types that exist only as mixtures, also by the name of the tensor type that carries them.
 */
const fileTypes = {
  f32: 0,
  f16: 1,
  bf16: 32,
  q4_0: 2,
  q4_1: 3,
  q5_0: 8,
  q5_1: 9,
  q8_0: 7,
  q2_k: 10,
  q2_k_s: 21,
  q3_k: 11,
  q3_k_s: 11,
  q3_k_m: 12,
  q3_k_l: 13,
  q4_k: 14,
  q4_k_s: 14,
  q4_k_m: 15,
  q5_k: 16,
  q5_k_s: 16,
  q5_k_m: 17,
  q6_k: 18,
  iq4_nl: 25,
  iq4_xs: 30,
  tq1_0: 36,
  tq2_0: 37,
  mxfp4: 38,
  q1_0: 40,
  q2_0: 41,
} as const;

/** GGML_TYPE_COUNT: leaves the choice to llama.cpp. */
const unchangedType = 43;

/** enum ggml_type of ggml.h (v0.5.0). */
const tensorTypes = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q4_1: 3,
  q5_0: 6,
  q5_1: 7,
  q8_0: 8,
  q2_k: 10,
  q3_k: 11,
  q4_k: 12,
  q5_k: 13,
  q6_k: 14,
  iq4_nl: 20,
  iq4_xs: 23,
  bf16: 30,
  tq1_0: 34,
  tq2_0: 35,
  mxfp4: 39,
  q1_0: 41,
  q2_0: 42,
} as const;

export type LlamaFileType = keyof typeof fileTypes;
export type LlamaTensorType = keyof typeof tensorTypes;

export interface LlamaQuantizeOptions {
  /** Mean square of every input column, by the tensor's name in the file. */
  readonly imatrix?: ReadonlyMap<string, Float32Array>;
  /** Every matrix at exactly the type, without llama.cpp's mixture; false by default. */
  readonly pure?: boolean;
  readonly tokenEmbeddingType?: LlamaTensorType;
  readonly outputType?: LlamaTensorType;
  /** Types of tensors whose names match a pattern (ECMAScript syntax), first match first. */
  readonly overrides?: readonly { readonly pattern: string; readonly type: LlamaTensorType }[];
  /** All processors by default. */
  readonly threads?: number;
}

/**
 * llama.cpp's own quantizer (`llama_model_quantize`), the yardstick of benches and tests.
 * @param input a GGUF file of f32, f16 or bf16 weights
 * @throws TersorError with llama.cpp's own words when it fails
 */
export async function quantizeWithLlama(
  input: string,
  output: string,
  type: LlamaFileType,
  options: LlamaQuantizeOptions = {},
): Promise<void> {
  const { imatrix, pure = false, tokenEmbeddingType, outputType, overrides, threads } = options;
  const api = llama();
  const owned: NativeArray<unknown>[] = [];
  const own = <T>(array: NativeArray<T>) => {
    owned.push(array);
    return array.pointer;
  };
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(`${value}\0`);
    const native = nativeBytes(bytes.length);
    native.array.set(bytes);
    return own(native);
  };
  const floats = (values: Float32Array) => {
    const native = nativeFloats(values.length);
    native.array.set(values);
    return own(native);
  };
  try {
    const defaults = api.llama_model_quantize_default_params();
    const imatrixList = [...(imatrix ?? [])].map(([name, values]) => ({
      name: text(name),
      data: floats(values),
      size: values.length,
    }));
    const overrideList = (overrides ?? []).map((override) => ({
      pattern: text(override.pattern),
      type: tensorTypes[override.type],
    }));
    const params = {
      ...defaults,
      nthread: threads ?? availableParallelism(),
      ftype: fileTypes[type],
      pure,
      token_embedding_type: tokenEmbeddingType ? tensorTypes[tokenEmbeddingType] : unchangedType,
      output_tensor_type: outputType ? tensorTypes[outputType] : unchangedType,
      imatrix: imatrix
        ? own(nativeStructs(imatrixEntry, [...imatrixList, { name: null, data: null, size: 0 }]))
        : null,
      tt_overrides: overrides
        ? own(nativeStructs(tensorOverride, [...overrideList, { pattern: null, type: unchangedType }]))
        : null,
    };
    await withErrorLog(async (lastError) => {
      const status = await inBackground(api.llama_model_quantize, input, output, params);
      if (status !== 0) {
        throw new TersorError(`llama.cpp cannot quantize to ${type} (${lastError() ?? `status ${status}`})`, {
          file: input,
        });
      }
    });
  } finally {
    freeNative(...owned);
  }
}
