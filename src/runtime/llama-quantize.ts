import { availableParallelism } from 'node:os';
import { TersorError } from '../errors.js';
import { type GgufName, ggufFormats } from '../grid/gguf/gguf.js';
import { struct } from './llama-abi.js';
import { inBackground, llama, withErrorLog } from './llama-library.js';
import { freeNative, type NativeArray, nativeBytes, nativeFloats, nativeStructs } from './llama-memory.js';
import { llamaFileTypes } from './llama-types.js';

/** GGML_TYPE_COUNT: leaves the choice to llama.cpp. */
const unchangedType = 43;

export type LlamaFileType = keyof typeof llamaFileTypes;
export type LlamaTensorType = GgufName;

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
 * llama.cpp's own quantizer (`llama_model_quantize`), the peer of benches and tests.
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
      type: ggufFormats[override.type].type,
    }));
    const params = {
      ...defaults,
      nthread: threads ?? availableParallelism(),
      ftype: llamaFileTypes[type],
      pure,
      token_embedding_type: tokenEmbeddingType ? ggufFormats[tokenEmbeddingType].type : unchangedType,
      output_tensor_type: outputType ? ggufFormats[outputType].type : unchangedType,
      imatrix: imatrix
        ? own(nativeStructs(struct.imatrix, [...imatrixList, { name: null, data: null, size: 0 }]))
        : null,
      tt_overrides: overrides
        ? own(nativeStructs(struct.tensorOverride, [...overrideList, { pattern: null, type: unchangedType }]))
        : null,
    };
    await withErrorLog(async (lastError) => {
      const status = await inBackground(api.llama_model_quantize, input, output, params);
      if (status !== 0) {
        throw new TersorError(`llama.cpp cannot quantize to ${type} (${lastError() ?? `status ${status}`})`, {
          code: 'unsupported',
          file: input,
        });
      }
    });
  } finally {
    freeNative(...owned);
  }
}
