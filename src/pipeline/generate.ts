import { TersorError } from '../errors.js';
import { openContext } from './context/context.js';
import type { JobHooks } from './context/hooks.js';
import { generateWithLlama } from './generate/llama.js';
import { kindOfModel } from './generate/model-kind.js';
import { generateWithOnnx } from './generate/onnx.js';
import type { GenerateOptions, GenerateResult } from './generate/options.js';

/**
 * Continues a prompt, in llama.cpp with a GGUF file, otherwise in onnxruntime:
 *
 *     for await (const piece of generate({ model, prompt })) process.stdout.write(piece);
 *
 * Nothing is computed before it is asked for; whoever leaves the loop early ends the work.
 * @returns the new text in pieces, which are whole characters; when all are out, how many tokens they were and how long
 *   they took
 * @throws TersorError when the prompt is empty or does not fit into the context; the reason of `caller.signal`, once that
 *   has ended the work
 */
export async function* generate(
  options: GenerateOptions,
  caller: Pick<JobHooks, 'signal' | 'warn'> = {},
): AsyncGenerator<string, GenerateResult, void> {
  const { signal } = caller;
  signal?.throwIfAborted();
  const kind = await kindOfModel(options.model);
  if (options.portion && kind !== 'stack')
    throw new TersorError('only a part of a stacked file is a model', {
      code: 'invalid-option',
      file: options.model,
      remedy: 'leave the portion out, or compress to a .stack',
    });
  const pieces = kind === 'gguf' ? generateWithLlama(options, signal) : inContext(options, caller);
  const result = yield* pieces;
  signal?.throwIfAborted();
  return result;
}

async function* inContext(
  options: GenerateOptions,
  caller: JobHooks,
): AsyncGenerator<string, GenerateResult, void> {
  const { context, close } = await openContext(options, caller);
  try {
    return yield* generateWithOnnx(context, options, caller.signal);
  } finally {
    await close();
  }
}
