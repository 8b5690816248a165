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
import { f32, windowEntries } from './decoder-gguf.js';
import type { DecoderShape } from './decoder-shape.js';
import { attentionTypes, blocksOf, ggufWindows, type Windows, windowKeys, windowsOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  head_dim: dimension.default(256),
  rms_norm_eps: epsilonKey.default(1e-6),
  // The first files said gelu, and Hugging Face's code takes the approximation in any case.
  hidden_act: z.enum(['gelu', 'gelu_pytorch_tanh']).nullish(),
  hidden_activation: z.literal('gelu_pytorch_tanh').nullish(),
  use_bidirectional_attention: z.literal(false).nullish(),
});

/** What all Gemmas do otherwise than Llama. */
const gemma = ({ hidden }: DecoderBase) =>
  ({ activation: 'geluTanh', normOffset: 1, embeddingScale: Math.fround(Math.sqrt(hidden)) }) as const;

/** Reads the config.json of a Gemma 1 (Gemma team, 2024, arXiv:2403.08295). */
export function gemmaFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  return gemmaShape(decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps }));
}

/** A Gemma 1 of such sizes. */
export const gemmaShape = (base: DecoderBase): DecoderShape => ({
  ...base,
  ...gemma(base),
  modelType: 'gemma',
  gguf: 'gemma',
  blocks: blocksOf(base.layers, undefined, { rotary: base.rotary }),
});

const gemma2Keys = keys.extend({
  query_pre_attn_scalar: z.number().positive().default(256),
  sliding_window: dimension.default(4096),
  layer_types: attentionTypes.nullish(),
  attn_logit_softcapping: z.number().positive().nullable().default(50),
  final_logit_softcapping: z.number().positive().nullable().default(30),
});

/** Layers of the 27 B model, whose scores llama.cpp scales otherwise. */
const layersOf27B = 46;

/** Reads the config.json of a Gemma 2 (Gemma team, 2024, arXiv:2408.00118). */
export function gemma2FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(gemma2Keys, config, file);
  const base = decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps });
  return gemma2Shape(base, {
    windows: windowsOf(parsed, (block) => block % 2 === 0, file),
    queryScalar: parsed.query_pre_attn_scalar,
    attentionCap: parsed.attn_logit_softcapping ?? undefined,
    logitCap: parsed.final_logit_softcapping ?? undefined,
  });
}

const gemma2GgufKeys = z.object({
  attn_logit_softcapping: z.number().positive().default(50),
  final_logit_softcapping: z.number().min(0).default(30),
});

/** Reads the GGUF metadata of a Gemma 2. */
export function gemma2FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const own = [...windowKeys, ...Object.keys(gemma2GgufKeys.shape)];
  const { entries, base } = ggufDecoder(metadata, source, own);
  const parsed = parseConfig(gemma2GgufKeys, entries, source.file);
  const given = { 'attention.sliding_window': 4096, ...entries };
  return gemma2Shape(base, {
    windows: ggufWindows(given, { layers: base.layers, pattern: 2, file: source.file }),
    queryScalar: scoreScale(base),
    attentionCap: parsed.attn_logit_softcapping,
    logitCap: parsed.final_logit_softcapping || undefined,
  });
}

interface Gemma2 {
  readonly windows: Windows | undefined;
  /** Scores are divided by its root. */
  readonly queryScalar: number;
  readonly attentionCap: number | undefined;
  readonly logitCap: number | undefined;
}

/** What llama.cpp divides scores by the root of. */
const scoreScale = ({ layers, hidden, heads, headDim }: DecoderBase): number =>
  layers === layersOf27B ? hidden / heads : headDim;

function gemma2Shape(base: DecoderBase, given: Gemma2): DecoderShape {
  const { windows, queryScalar, attentionCap, logitCap } = given;
  const blocks = blocksOf(base.layers, windows, { rotary: base.rotary });
  return {
    ...base,
    ...gemma(base),
    ...(attentionCap === undefined ? {} : { attentionCap }),
    ...(logitCap === undefined ? {} : { logitCap }),
    modelType: 'gemma2',
    gguf: 'gemma2',
    blocks,
    norms: 'both',
    names: { roles: { ffn_norm: 'pre_feedforward_layernorm' } },
    attentionScale: queryScalar ** -0.5,
    ggufEntries: {
      ...windowEntries({ blocks }),
      attn_logit_softcapping: f32(attentionCap ?? 0),
      final_logit_softcapping: f32(logitCap ?? 0),
    },
    ...(scoreScale(base) === queryScalar && attentionCap !== undefined
      ? {}
      : { ggufObstacle: 'llama.cpp scales or caps the attention scores of this family in another way' }),
  };
}
