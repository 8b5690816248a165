import { required } from '../required.js';
import { openOnnxDecoder } from '../runtime/onnx-decoder.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Predictor } from './predictor.js';

/** Positions whose logits are in memory together: the decoder makes those of all tokens that it is given. */
const step = 128;

/** onnxruntime's predictions of an ONNX decoder, through its cache as when it generates text. */
export async function predictWithOnnx(
  path: string,
  sequences: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<Predictor> {
  const decoder = await openOnnxDecoder(path, options);
  let last: { sequence: number; position: number } | undefined;
  return {
    vocabulary: decoder.vocabulary,
    async logits(sequence, from, to) {
      const tokens = required(sequences, sequence);
      if (last?.sequence !== sequence || last.position > from) {
        decoder.restart();
        last = { sequence, position: 0 };
      }
      for (; last.position < from; last.position += step)
        await decoder.next(tokens.subarray(last.position, Math.min(from, last.position + step)));
      last.position = to;
      return decoder.next(tokens.subarray(from, to));
    },
    release: decoder.release,
  };
}
