import { z } from 'zod';
import { dimension } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { type DecoderBase, decoderBase, decoderKeys, epsilonKey } from './decoder-config.js';
import type { DecoderShape } from './decoder-shape.js';
import { blocksOf, type Windows, windowsInLlamaCpp, windowsOf } from './windows.js';

const phiKeys = z.object({
  ...decoderKeys,
  layer_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('gelu_new').default('gelu_new'),
  qk_layernorm: z.literal(false).default(false),
});

/** Reads the config.json of a Phi 1.5 or 2 (Microsoft, 2023): both halves of a block take in the same norm. */
export function phiFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(phiKeys, config, file);
  return phiShape(decoderBase(parsed, { file, epsilon: parsed.layer_norm_eps, rotated: 0.5 }));
}

/** A Phi 1.5 or 2 of such sizes. */
export function phiShape(base: DecoderBase): DecoderShape {
  return {
    ...base,
    modelType: 'phi',
    gguf: 'phi2',
    blocks: blocksOf(base.layers, undefined, { rotary: base.rotary }),
    activation: 'geluTanh',
    norm: 'layer',
    parallel: 'shared norm',
    feedForward: 'plain',
    names: {
      outputNorm: 'model.final_layernorm',
      roles: { attn_output: 'self_attn.dense', ffn_up: 'mlp.fc1', ffn_down: 'mlp.fc2' },
    },
  };
}

const phi3Keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  sliding_window: dimension.nullish(),
  original_max_position_embeddings: dimension.nullish(),
});

/** Reads the config.json of a Phi 3, 3.5 or 4 (Abdin et al., 2024, arXiv:2404.14219). */
export function phi3FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(phi3Keys, config, file);
  const base = decoderBase(parsed, {
    file,
    epsilon: parsed.rms_norm_eps,
    originalContext: parsed.original_max_position_embeddings ?? undefined,
  });
  return phi3Shape(
    base,
    windowsOf(parsed, () => true, file),
  );
}

/** A Phi 3 or 4 of such sizes; llama.cpp attends to all positions. */
export function phi3Shape(base: DecoderBase, windows?: Windows): DecoderShape {
  const blocks = blocksOf(base.layers, windows, { rotary: base.rotary });
  return {
    ...base,
    modelType: 'phi3',
    gguf: 'phi3',
    blocks,
    activation: 'silu',
    fusedAttention: 'parts',
    feedForward: 'fused gate',
    names: { roles: { ffn_up: 'mlp.gate_up_proj' } },
    ...windowsInLlamaCpp(blocks, base.context),
  };
}
