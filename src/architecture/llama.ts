import type { Architecture, TensorSpec } from './architecture.js';
import { decoder } from './decoder.js';
import type { LlamaShape, LlamaType } from './llama-config.js';

/** llama.cpp's architecture: it rotates neighbouring pairs for `llama`, halves for the Qwens. */
const ggufNames: Record<LlamaType, string> = {
  llama: 'llama',
  mistral: 'llama',
  qwen2: 'qwen2',
  qwen3: 'qwen3',
};

/** Llama (Touvron et al., 2023), Mistral, Qwen 2 and 3. @param has tells which tensors the checkpoint holds */
export function llama(shape: LlamaShape, has: (spec: TensorSpec) => boolean): Architecture {
  const { layers, rotary, windows = [], ...rest } = shape;
  const gguf = ggufNames[shape.modelType];
  const blocks = Array.from({ length: layers }, (_, block) => {
    const window = windows[block];
    return window === undefined ? { rotary } : { rotary, window };
  });
  return decoder(
    {
      ...rest,
      gguf,
      headDim: rotary.headDim,
      blocks,
      activation: 'silu',
      interleaved: gguf === 'llama',
      ...windowsInLlamaCpp(shape),
    },
    has,
  );
}

/**
 * llama.cpp attends to all positions in these families. Where all blocks have one window, texts no longer than that come
 * out alike, so that the window becomes the context of the file; a mixture of both kinds of blocks is refused.
 */
function windowsInLlamaCpp({ layers, windows, context }: LlamaShape) {
  if (!windows) return {};
  const widths = Array.from({ length: layers }, (_, block) => windows[block] ?? Number.POSITIVE_INFINITY);
  const least = Math.min(...widths);
  if (least >= context) return {};
  if (widths.every((width) => width === least))
    return { ggufEntries: { context_length: { type: 'u32' as const, value: least } } };
  return {
    ggufObstacle: `some of its blocks attend to the last ${least} positions only, which llama.cpp does not do in this family`,
  };
}
