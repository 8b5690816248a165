import { z } from 'zod';
import { parseHuggingFace } from './config-keys.js';
import { type DecoderBase, decoderBase, decoderKeys, epsilonKey } from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';
import { blocksOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  layer_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  use_parallel_residual: z.literal(false).default(false),
  qk_layernorm: z.literal(false).default(false),
  // Whether there are biases, the tensors tell.
  use_qkv_bias: z.boolean().nullish(),
});

/** Reads the config.json of a StableLM (Stability AI, 2023): a Llama with norms by mean and variance. */
export function stablelmFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  return stablelmShape(decoderBase(parsed, { file, epsilon: parsed.layer_norm_eps, rotated: 0.25 }));
}

/** A StableLM of such sizes. */
export function stablelmShape(base: DecoderBase): DecoderShape {
  return {
    ...base,
    modelType: 'stablelm',
    gguf: 'stablelm',
    blocks: blocksOf(base.layers, undefined, { rotary: base.rotary }),
    activation: 'silu',
    norm: 'layer',
  };
}
