import { z } from 'zod';
import { dimension } from './config.js';
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
import { rotaryOf } from './rotary-scaling.js';
import { type Windows, windowedBlocks, windowKeys, windowsInLlamaCpp, windowsOf } from './windows.js';

const phiKeys = z.object({
  ...decoderKeys,
  layer_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('gelu_new').default('gelu_new'),
  qk_layernorm: z.literal(false).default(false),
  partial_rotary_factor: z.number().positive().max(1).default(0.5),
});

/** Reads the config.json of a Phi 1.5 or 2 (Microsoft, 2023): both halves of a block take in the same norm. */
export function phiFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(phiKeys, config, file);
  return phiShape(decoderBase(parsed, file), parsed.layer_norm_eps);
}

/** Reads the GGUF metadata of a Phi 1.5 or 2. */
export function phiFromGguf(metadata: Readonly<Record<string, unknown>>, source: GgufSource): DecoderShape {
  const { entries: _, epsilon, ...base } = ggufDecoder(metadata, source);
  return phiShape(base, epsilon);
}

function phiShape(base: DecoderBase, epsilon: number): DecoderShape {
  return {
    ...base,
    modelType: 'phi',
    gguf: 'phi2',
    epsilon,
    blocks: sameBlocks(base),
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
  const scaling = parsed.rope_parameters ?? parsed.rope_scaling ?? {};
  const base = decoderBase({ ...parsed, rope_parameters: null, rope_scaling: null, ...share(parsed) }, file);
  const { headDim, theta } = base.rotary;
  const plain = { headDim, theta: scaling.rope_theta ?? parsed.rope_theta ?? theta };
  const rotary = rotaryOf(plain, scaling, {
    context: base.context,
    originalContext: parsed.original_max_position_embeddings ?? undefined,
    file,
  });
  return phi3Shape(
    { ...base, rotary },
    parsed.rms_norm_eps,
    windowsOf(parsed, () => true, file),
  );
}

/** Reads the GGUF metadata of a Phi 3 or 4, where llama.cpp attends to all positions. */
export function phi3FromGguf(metadata: Readonly<Record<string, unknown>>, source: GgufSource): DecoderShape {
  // llama.cpp reads a window here and does without.
  const { entries: _, epsilon, ...base } = ggufDecoder(metadata, source, windowKeys);
  return phi3Shape(base, epsilon);
}

function phi3Shape(base: DecoderBase, epsilon: number, windows?: Windows): DecoderShape {
  const blocks = windowedBlocks(base.layers, base.rotary, windows);
  return {
    ...base,
    modelType: 'phi3',
    gguf: 'phi3',
    epsilon,
    blocks,
    activation: 'silu',
    fusedAttention: 'parts',
    feedForward: 'fused gate',
    names: { roles: { ffn_up: 'mlp.gate_up_proj' } },
    ...windowsInLlamaCpp(blocks, base.context),
  };
}

/** How much of each head is rotated, wherever the configuration says it. */
function share({ partial_rotary_factor: own, rope_parameters: rope }: z.infer<typeof phi3Keys>) {
  const nested = rope?.partial_rotary_factor;
  return { partial_rotary_factor: own ?? (typeof nested === 'number' ? nested : 1) };
}
