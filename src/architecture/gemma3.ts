import { z } from 'zod';
import { dimension, parseConfig } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
} from './decoder-config.js';
import { f32, u32, windowEntries } from './decoder-gguf.js';
import type { DecoderShape } from './decoder-shape.js';
import type { Rotary } from './rotary.js';
import { ropeConfig, rotaryOf, theta } from './rotary-scaling.js';
import {
  allButEvery,
  attentionTypes,
  blocksOf,
  ggufWindows,
  type Windows,
  windowKeys,
  windowsOf,
} from './windows.js';

const keys = z.object({
  ...decoderKeys,
  head_dim: dimension.default(256),
  max_position_embeddings: dimension.default(131072),
  rms_norm_eps: epsilonKey.default(1e-6),
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: dimension.nullish(),
  layer_types: attentionTypes.nullish(),
  // Every n-th block attends to all positions, before transformers listed them.
  sliding_window_pattern: z.number().int().positive().nullish(),
  _sliding_window_pattern: z.number().int().positive().nullish(),
  rope_local_base_freq: theta.nullish(),
  // transformers 5: settings of either kind of block
  rope_parameters: z.object({ full_attention: ropeConfig, sliding_attention: ropeConfig }).nullish(),
  hidden_activation: z.literal('gelu_pytorch_tanh').default('gelu_pytorch_tanh'),
  hidden_act: z.literal('gelu_pytorch_tanh').nullish(),
  attention_bias: z.literal(false).default(false),
  attn_logit_softcapping: z.null().default(null),
  final_logit_softcapping: z.null().default(null),
  use_bidirectional_attention: z.literal(false).nullish(),
});

/** Bases of rotary frequencies, and the n of every n-th block that attends to all positions, unless a configuration says otherwise. */
const [fullTheta, slidingTheta, defaultPattern] = [1e6, 1e4, 6];

/** Reads the config.json of a Gemma 3 for text (Gemma team, 2025, arXiv:2503.19786). */
export function gemma3FromHuggingFace(config: unknown, file: string): DecoderShape {
  const { rope_parameters: rope, ...parsed } = parseHuggingFace(keys, config, file);
  const pattern = parsed.sliding_window_pattern ?? parsed._sliding_window_pattern ?? defaultPattern;
  const full = {
    rope_theta: parsed.rope_theta ?? fullTheta,
    ...(rope?.full_attention ?? parsed.rope_scaling),
  };
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps, rope: full });
  const local = rope?.sliding_attention ?? {};
  const plain = {
    headDim: base.headDim,
    theta: parsed.rope_local_base_freq ?? local.rope_theta ?? slidingTheta,
  };
  return gemma3Shape(base, {
    windows: windowsOf(parsed, allButEvery(pattern), file) ?? [],
    sliding: rotaryOf(plain, local, { context: base.context, file }),
    queryScalar: parsed.query_pre_attn_scalar,
  });
}

const ggufKeys = z.object({
  'rope.freq_base_swa': theta.default(slidingTheta),
  final_logit_softcapping: z.literal(0).optional(),
});

/** Reads the GGUF metadata of a Gemma 3. */
export function gemma3FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const given = { 'gemma3.rope.freq_base': fullTheta, 'gemma3.attention.key_length': 256, ...metadata };
  const { entries, base } = ggufDecoder(given, source, [...windowKeys, ...Object.keys(ggufKeys.shape)]);
  const parsed = parseConfig(ggufKeys, entries, source.file);
  return gemma3Shape(base, {
    windows: ggufWindows(entries, { layers: base.layers, pattern: defaultPattern, file: source.file }),
    sliding: { headDim: base.headDim, theta: parsed['rope.freq_base_swa'] },
  });
}

interface Gemma3 {
  readonly windows: Windows;
  /** Of blocks that attend to a window. */
  readonly sliding: Rotary;
  /** Scores are divided by its root; the factor is part of the weights in a GGUF. */
  readonly queryScalar?: number;
}

/** Layers of the 27 B model, whose scores llama.cpp scales otherwise. */
const layersOf27B = 62;

function gemma3Shape(base: DecoderBase, { windows, sliding, queryScalar }: Gemma3): DecoderShape {
  const { hidden, heads, headDim, layers, rotary } = base;
  // What llama.cpp scales scores by; any other scale is part of the norm of queries.
  const scaledBy = layers === layersOf27B ? hidden / heads : headDim;
  const blocks = blocksOf(layers, windows, { rotary }, { rotary: sliding });
  return {
    ...base,
    modelType: 'gemma3_text',
    gguf: 'gemma3',
    blocks,
    activation: 'geluTanh',
    embeddingScale: Math.fround(Math.sqrt(hidden)),
    attentionScale: scaledBy ** -0.5,
    norms: 'both',
    names: { roles: { ffn_norm: 'pre_feedforward_layernorm' } },
    normOffset: 1,
    queryFactor: Math.sqrt(scaledBy / (queryScalar ?? scaledBy)),
    ggufEntries: {
      'attention.key_length': u32(headDim),
      'attention.value_length': u32(headDim),
      'rope.freq_base': f32(rotary.theta),
      ...rotary.ggufEntries,
      ...windowEntries({ blocks }),
      'rope.freq_base_swa': f32(sliding.theta),
    },
  };
}
