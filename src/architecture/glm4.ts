import { z } from 'zod';
import { parseHuggingFace } from './config-keys.js';
import { type DecoderBase, decoderBase, decoderKeys, epsilonKey } from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';
import { blocksOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1.5625e-7),
  hidden_act: z.literal('silu').default('silu'),
});

/** Reads the config.json of a GLM-4-0414 (Zhipu, 2025): norms in front of and behind each half of a block. */
export function glm4FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  return glm4Shape(decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps, rotated: 0.5 }));
}

/** A GLM-4 of such sizes. */
export function glm4Shape(base: DecoderBase): DecoderShape {
  const rotary = { ...base.rotary, neighbours: true };
  return {
    ...base,
    modelType: 'glm4',
    gguf: 'glm4',
    blocks: blocksOf(base.layers, undefined, { rotary }),
    activation: 'silu',
    norms: 'both',
    feedForward: 'fused gate',
    names: {
      roles: {
        post_attention_norm: 'post_self_attn_layernorm',
        ffn_norm: 'post_attention_layernorm',
        ffn_up: 'mlp.gate_up_proj',
        post_ffw_norm: 'post_mlp_layernorm',
      },
    },
  };
}
