import { TersorError } from '../errors.js';
import { InferenceSession, Tensor } from './onnxruntime.js';
import type { RuntimeOptions } from './session.js';

/** An encoder in an ONNX file as transformers.js runs it. */
export interface OnnxEncoder {
  /**
   * Last hidden states of texts in one batch, texts × longest × hidden: shorter ones are padded and the padding masked.
   */
  states(texts: readonly Int32Array[]): Promise<Float32Array>;
  release(): Promise<void>;
}

/**
 * Opens an encoder on this machine's processors.
 * @throws TersorError with onnxruntime's own words when it cannot load the file, or it is no encoder
 */
export async function openOnnxEncoder(path: string, options: RuntimeOptions = {}): Promise<OnnxEncoder> {
  const session = await InferenceSession.create(path, {
    executionProviders: ['cpu'],
    ...(options.threads ? { intraOpNumThreads: options.threads } : {}),
    extra: { session: { intra_op: { allow_spinning: '0' } } },
    logSeverityLevel: 3,
  }).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message.replace(/\s+/g, ' ') : 'unknown error';
    throw new TersorError(`onnxruntime cannot load the model (${reason})`, { file: path, cause });
  });
  if (!session.outputNames.includes('last_hidden_state')) {
    await session.release();
    throw new TersorError('is no encoder: it has no last_hidden_state', {
      file: path,
      remedy: 'give a model for embeddings',
    });
  }
  return {
    async states(texts) {
      const longest = Math.max(...texts.map(({ length }) => length));
      const shape = [texts.length, longest];
      const padded = (value: (token: number) => number) => {
        const data = new BigInt64Array(texts.length * longest);
        for (const [row, text] of texts.entries())
          data.set(
            BigInt64Array.from(text, (token) => BigInt(value(token))),
            row * longest,
          );
        return new Tensor('int64', data, shape);
      };
      const given: Record<string, Tensor> = {
        input_ids: padded((token) => token),
        attention_mask: padded(() => 1),
        token_type_ids: padded(() => 0),
      };
      const own = Object.entries(given).filter(([name]) => session.inputNames.includes(name));
      const results = await session.run(Object.fromEntries(own));
      return results.last_hidden_state?.data as Float32Array;
    },
    release: () => session.release(),
  };
}
