import { required } from '../required.js';
import { openLlama } from '../runtime/llama.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Predictor } from './predictor.js';

/** llama.cpp's predictions of a GGUF file, with keys and values kept in f32 so that only its matmuls round. */
export async function predictWithLlama(
  path: string,
  sequences: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<Predictor> {
  const context = Math.max(...sequences.map(({ length }) => length));
  const model = await openLlama(path, { context, kvType: 'f32', ...options });
  const vocabulary = model.vocabularySize();
  let last: { sequence: number; from: number; logits: Float32Array } | undefined;
  return {
    vocabulary,
    async logits(sequence, from, to) {
      // One pass per sequence: slabs of the same sequence come one after the other, from its first scored row.
      if (last?.sequence !== sequence || last.from > from) {
        last = { sequence, from, logits: await model.logits([...required(sequences, sequence)], { from }) };
      }
      return last.logits.subarray((from - last.from) * vocabulary, (to - last.from) * vocabulary);
    },
    release: () => model.close(),
  };
}
