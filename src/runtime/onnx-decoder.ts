import { TersorError } from '../errors.js';
import { InferenceSession, Tensor } from './onnxruntime.js';
import type { RuntimeOptions } from './session.js';

/** A decoder in an ONNX file as transformers.js runs it, with its cache of keys and values. */
export interface OnnxDecoder {
  readonly vocabulary: number;
  /** Forgets all tokens. */
  restart(): void;
  /** Takes the next tokens in; returns the logits behind each of them, tokens × vocabulary. */
  next(tokens: Int32Array): Promise<Float32Array>;
  release(): Promise<void>;
}

const cachePrefix = 'past_key_values.';

/**
 * Opens a decoder on this machine's processors.
 * @param bytes the model, where it is in memory and not at the path
 * @throws TersorError with onnxruntime's own words when it cannot load the file, or it is no decoder
 */
export async function openOnnxDecoder(
  path: string,
  options: RuntimeOptions = {},
  bytes?: Uint8Array,
): Promise<OnnxDecoder> {
  const settings: InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    logSeverityLevel: 3,
  };
  const opening = bytes ? InferenceSession.create(bytes, settings) : InferenceSession.create(path, settings);
  const session = await opening.catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message.replace(/\s+/g, ' ') : 'unknown error';
    throw new TersorError(`onnxruntime cannot load the model (${reason})`, { file: path, cause });
  });
  const { inputNames, inputMetadata, outputMetadata } = session;
  const logits = outputMetadata.find(({ name }) => name === 'logits');
  const vocabulary = logits?.isTensor ? Number(logits.shape.at(-1)) : Number.NaN;
  if (!inputNames.includes('input_ids') || !Number.isSafeInteger(vocabulary)) {
    await session.release();
    throw new TersorError('is no decoder: it has no input_ids or no logits', {
      file: path,
      remedy: 'give a model for text generation',
    });
  }
  const emptyCache = () =>
    Object.fromEntries(
      inputMetadata
        .filter(({ name }) => name.startsWith(cachePrefix))
        .map((about) => {
          const shape = about.isTensor
            ? about.shape.map((size) => (typeof size === 'number' ? size : 0))
            : [];
          shape[0] = 1;
          const half = about.isTensor && about.type === 'float16';
          const empty = half
            ? new Tensor('float16', new Uint16Array(), shape)
            : new Tensor('float32', new Float32Array(), shape);
          return [about.name, empty] as const;
        }),
    );
  let cache: Record<string, Tensor> = emptyCache();
  let position = 0;
  return {
    vocabulary,
    restart() {
      cache = emptyCache();
      position = 0;
    },
    async next(tokens) {
      const whole = (values: Iterable<number>, length: number) =>
        new Tensor('int64', BigInt64Array.from(Array.from(values, BigInt)), [1, length]);
      const total = position + tokens.length;
      const given: Record<string, Tensor> = {
        input_ids: whole(tokens, tokens.length),
        attention_mask: whole(new Array<number>(total).fill(1), total),
        position_ids: whole(
          tokens.map((_, index) => position + index),
          tokens.length,
        ),
      };
      const own = Object.entries(given).filter(([name]) => inputNames.includes(name));
      const results = await session.run({ ...cache, ...Object.fromEntries(own) });
      cache = Object.fromEntries(
        Object.entries(results)
          .filter(([name]) => name.startsWith('present.'))
          .map(([name, value]) => [name.replace('present.', cachePrefix), value as Tensor]),
      );
      position = total;
      return results.logits?.data as Float32Array;
    },
    release: () => session.release(),
  };
}
