import type { InferenceSession, Tensor } from 'onnxruntime-web';
import type { Architecture, TensorSpec } from '../../src/architecture/architecture.js';
import { floatDecoder } from '../../src/writer/float-decoder.js';
import { bestProvider, loadRuntime, type Provider } from './runtime.js';

/** A model that predicts next tokens, with its cache of keys and values. */
export interface Decoder {
  readonly provider: Provider;
  readonly vocabulary: number;
  /** Tokens that it has taken in. */
  readonly position: number;
  /** Takes tokens in; logits behind each of them, tokens × vocabulary. */
  next(tokens: readonly number[]): Promise<Float32Array>;
  /** Forgets all tokens. */
  restart(): void;
  release(): Promise<void>;
}

let preferred: Promise<Provider> | undefined;

/**
 * Compiles a model: the decoder that tersor writes into ONNX folders, with these weights as constants. Where the
 * graphics processor does not run it, the processor does.
 */
export async function createDecoder(
  architecture: Architecture,
  weights: (spec: TensorSpec) => Float32Array,
): Promise<Decoder> {
  const { bytes: model, inputs } = floatDecoder(architecture, weights);
  const caches = inputs.filter(({ name }) => name.startsWith(cachePrefix));
  preferred ??= bestProvider();
  try {
    return await open(model, caches, architecture.vocabulary, await preferred);
  } catch (error) {
    if ((await preferred) === 'wasm') throw error;
    preferred = Promise.resolve('wasm');
    return open(model, caches, architecture.vocabulary, 'wasm');
  }
}

/** A decoder in an ONNX file as tersor and transformers.js write them, with the file of its weights. */
export async function openDecoder(
  model: Uint8Array,
  data: readonly { readonly path: string; readonly data: Uint8Array }[],
  vocabulary: number,
): Promise<Decoder> {
  preferred ??= bestProvider();
  const provider = await preferred;
  try {
    return await open(model, undefined, vocabulary, provider, data);
  } catch (error) {
    if (provider === 'wasm') throw error;
    return open(model, undefined, vocabulary, 'wasm', data);
  }
}

interface Cache {
  readonly name: string;
  readonly shape: readonly (number | string)[];
  readonly half?: boolean;
}

const cachePrefix = 'past_key_values.';

const cachesOf = (inputs: InferenceSession['inputMetadata']): Cache[] =>
  inputs.flatMap((about) =>
    about.isTensor && about.name.startsWith(cachePrefix)
      ? [{ name: about.name, shape: about.shape, half: about.type === 'float16' }]
      : [],
  );

async function open(
  model: Uint8Array,
  known: readonly Cache[] | undefined,
  vocabulary: number,
  wanted: Provider,
  externalData: readonly { readonly path: string; readonly data: Uint8Array }[] = [],
): Promise<Decoder> {
  const { ort, provider } = await loadRuntime(wanted);
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [provider],
    externalData: [...externalData],
    logSeverityLevel: 3,
  });
  const caches = known ?? cachesOf(session.inputMetadata);
  const empty = () =>
    Object.fromEntries(
      caches.map(({ name, shape, half }): [string, Tensor] => {
        const sizes = shape.map((size, at) => (typeof size === 'number' ? size : at === 0 ? 1 : 0));
        const none = half
          ? new ort.Tensor('float16', new Uint16Array(), sizes)
          : new ort.Tensor('float32', new Float32Array(), sizes);
        return [name, none];
      }),
    );
  const whole = (values: readonly number[]) =>
    new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
  let cache = empty();
  let position = 0;
  const decoder: Decoder = {
    provider,
    vocabulary,
    get position() {
      return position;
    },
    async next(tokens) {
      const positions = tokens.map((_, at) => position + at);
      const total = position + tokens.length;
      const given: Record<string, Tensor> = {
        input_ids: whole(tokens),
        attention_mask: whole(new Array<number>(total).fill(1)),
        position_ids: whole(positions),
      };
      const wants = Object.entries(given).filter(([name]) => session.inputNames.includes(name));
      const results = await session.run({ ...cache, ...Object.fromEntries(wants) });
      cache = Object.fromEntries(
        caches.flatMap(({ name }) => {
          const value = results[name.replace(cachePrefix, 'present.')];
          return value ? [[name, value]] : [];
        }),
      );
      position = total;
      const { logits } = results;
      if (!logits) throw new Error('the decoder gives no logits');
      return logits.data as Float32Array;
    },
    restart() {
      cache = empty();
      position = 0;
    },
    release: () => session.release(),
  };
  // Some graphics processors accept a model and fail when it runs, or compute something else.
  const logits = (await decoder.next([0, 1, 2])).slice();
  decoder.restart();
  if (provider === 'webgpu' && logits.some((value) => !Number.isFinite(value)))
    throw new Error('the graphics processor computes no numbers');
  return decoder;
}
