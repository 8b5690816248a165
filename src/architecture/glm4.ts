import { z } from 'zod';
import { parseHuggingFace } from './config-keys.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
} from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1.5625e-7),
  hidden_act: z.literal('silu').default('silu'),
  partial_rotary_factor: z.number().positive().max(1).default(0.5),
});

/** Reads the config.json of a GLM-4-0414 (Zhipu, 2025): norms in front of and behind each half of a block. */
export function glm4FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  return glm4Shape(decoderBase(parsed, file), parsed.rms_norm_eps);
}

/** Reads the GGUF metadata of a GLM-4. */
export function glm4FromGguf(metadata: Readonly<Record<string, unknown>>, source: GgufSource): DecoderShape {
  const { entries: _, epsilon, ...base } = ggufDecoder(metadata, source);
  return glm4Shape(base, epsilon);
}

function glm4Shape(base: DecoderBase, epsilon: number): DecoderShape {
  const rotary = { ...base.rotary, neighbours: true };
  return {
    ...base,
    epsilon,
    modelType: 'glm4',
    gguf: 'glm4',
    blocks: Array.from({ length: base.layers }, () => ({ rotary })),
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
