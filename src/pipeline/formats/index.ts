import { TersorError } from '../../errors.js';
import type { CompressOptions } from '../options.js';
import type { ComposedFormat, OutputFormat } from './format.js';
import { gguf } from './gguf.js';
import { type FormatName, formatNames } from './names.js';
import { onnx } from './onnx.js';
import { safetensors } from './safetensors.js';
import { stack } from './stack/stack.js';
import { compressedTensors, gptq } from './vllm.js';

export type { ComposedFormat, Contents, Layout, OutputFormat } from './format.js';

/** The kinds of output, by the word for `--format`. */
export const outputFormats: Readonly<Record<FormatName, OutputFormat | ComposedFormat>> = {
  gguf,
  stack,
  onnx,
  gptq,
  'compressed-tensors': compressedTensors,
  safetensors,
};

/** The format asked for, or the one that the output's extension tells. */
export function findFormat({
  format,
  output,
}: Pick<CompressOptions, 'format' | 'output'>): OutputFormat | ComposedFormat {
  const formats = Object.values(outputFormats);
  if (format) {
    const found = formats.find(({ name }) => name === format);
    if (found) return found;
    throw new TersorError(`there is no output format ${format}`, {
      remedy: `choose one of ${formatNames.join(', ')}`,
    });
  }
  const found = formats.find(({ extension }) => extension && output.endsWith(extension));
  if (found) return found;
  throw new TersorError('cannot tell what to write from the name of the output', {
    code: 'invalid-option',
    file: output,
    remedy:
      'give a name that ends in .gguf or .stack, --format onnx for a folder for transformers.js, --format gptq or ' +
      "compressed-tensors for one for vLLM, or --format safetensors for one in tersor's own layout",
  });
}

/** @throws TersorError for a format that gives its tensors no types, so that there is nothing to plan */
export function findTypedFormat(options: Pick<CompressOptions, 'format' | 'output'>): OutputFormat {
  const format = findFormat(options);
  if (!('compress' in format)) return format;
  const { problem, remedy } = format.unplanned;
  throw new TersorError(problem, { code: 'unsupported', file: options.output, remedy });
}

/** Types for rows that the usual ones of a format do not fit, for messages. */
export function fallbacksOf(name: FormatName): string {
  const format = outputFormats[name];
  return 'compress' in format ? '' : format.fallbacks;
}
