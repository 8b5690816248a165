import { z } from 'zod';
import { parseHuggingFace } from './config-keys.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
  sameBlocks,
} from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';

const keys = z.object({
  ...decoderKeys,
  layer_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  partial_rotary_factor: z.number().positive().max(1).default(0.25),
  use_parallel_residual: z.literal(false).default(false),
  qk_layernorm: z.literal(false).default(false),
  // Whether there are biases, the tensors tell.
  use_qkv_bias: z.boolean().nullish(),
});

/** Reads the config.json of a StableLM (Stability AI, 2023): a Llama with norms by mean and variance. */
export function stablelmFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  return stablelmShape(decoderBase(parsed, file), parsed.layer_norm_eps);
}

/** Reads the GGUF metadata of a StableLM. */
export function stablelmFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries: _, epsilon, ...base } = ggufDecoder(metadata, source);
  return stablelmShape(base, epsilon);
}

function stablelmShape(base: DecoderBase, epsilon: number): DecoderShape {
  return {
    ...base,
    epsilon,
    modelType: 'stablelm',
    gguf: 'stablelm',
    blocks: sameBlocks(base),
    activation: 'silu',
    norm: 'layer',
  };
}
