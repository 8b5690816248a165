import type { Architecture } from '../architecture/architecture.js';
import { type Hidden, programCache } from '../architecture/forward.js';
import { openOnnxEncoder } from '../runtime/onnx-encoder.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix } from '../types.js';
import { pool } from './embedding.js';

/** Texts that are padded to the length of the longest and run together, as programs do. */
const batchTexts = 16;

/**
 * Embeddings by onnxruntime of an encoder's ONNX file: by the encoder's pooling, of length one.
 * @returns a row for every text
 */
export async function embedWithOnnx(
  path: string,
  architecture: Pick<Architecture, 'hidden' | 'pooling'>,
  texts: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<Matrix> {
  const { hidden } = architecture;
  const encoder = await openOnnxEncoder(path, options);
  const cache = programCache(options);
  const states: Hidden[] = [];
  for (let from = 0; from < texts.length; from += batchTexts) {
    const batch = texts.slice(from, from + batchTexts);
    const data = await encoder.states(batch);
    const row = data.length / batch.length;
    for (const [at, { length }] of batch.entries())
      states.push({
        batch: { sequences: 1, length },
        data: data.subarray(at * row, at * row + length * hidden),
      });
  }
  const embeddings = await pool(cache, architecture, states);
  await Promise.all([encoder.release(), cache.release()]);
  return embeddings;
}
