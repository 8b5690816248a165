import { TersorError } from '../../errors.js';
import type { CompressOptions } from '../options.js';
import type { OutputFormat } from './format.js';
import { gguf } from './gguf.js';
import { formatNames } from './names.js';
import { onnx } from './onnx.js';
import { safetensors } from './safetensors.js';
import { compressedTensors, gptq } from './vllm.js';

export type { Contents, Layout, OutputFormat } from './format.js';

/** The kinds of output, by the word for `--format`. */
export const outputFormats: Readonly<Record<OutputFormat['name'], OutputFormat>> = {
  gguf,
  onnx,
  gptq,
  'compressed-tensors': compressedTensors,
  safetensors,
};

/** The format asked for, or the one that the output's extension tells. */
export function findFormat({ format, output }: CompressOptions): OutputFormat {
  if (format) {
    const found = Object.values(outputFormats).find(({ name }) => name === format);
    if (found) return found;
    throw new TersorError(`there is no output format ${format}`, {
      remedy: `choose one of ${[...formatNames, 'stack'].join(', ')}`,
    });
  }
  if (output.endsWith('.gguf')) return gguf;
  throw new TersorError('cannot tell what to write from the name of the output', {
    code: 'invalid-option',
    file: output,
    remedy:
      'give a name that ends in .gguf or .stack, --format onnx for a folder for transformers.js, --format gptq or ' +
      "compressed-tensors for one for vLLM, or --format safetensors for one in tersor's own layout",
  });
}
