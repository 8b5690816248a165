import { z } from 'zod';
import { parseConfig } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import {
  type DecoderBase,
  decoderBase,
  decoderKeys,
  epsilonKey,
  type GgufSource,
  ggufDecoder,
} from './decoder-config.js';
import { f32 } from './decoder-gguf.js';
import type { DecoderShape } from './decoder-shape.js';
import { blocksOf } from './windows.js';

const factor = z.number().positive().default(1);

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-6),
  hidden_act: z.literal('silu').default('silu'),
  embedding_multiplier: factor,
  attention_multiplier: factor,
  residual_multiplier: factor,
  logits_scaling: factor,
});

/** Reads the config.json of a Granite 3 (IBM, 2024), a Llama with factors at four places. */
export function graniteFromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  return graniteShape(decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps }), {
    embedding: parsed.embedding_multiplier,
    attention: parsed.attention_multiplier,
    residual: parsed.residual_multiplier,
    logits: parsed.logits_scaling,
  });
}

const ggufKeys = z.object({
  logit_scale: z.number().positive(),
  embedding_scale: factor,
  residual_scale: factor,
  'attention.scale': z.number().positive().optional(),
});

/** Reads the GGUF metadata of a Granite. */
export function graniteFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, Object.keys(ggufKeys.shape));
  const parsed = parseConfig(ggufKeys, entries, source.file);
  return graniteShape(base, {
    embedding: parsed.embedding_scale,
    attention: parsed['attention.scale'] ?? base.headDim ** -0.5,
    residual: parsed.residual_scale,
    logits: parsed.logit_scale,
  });
}

interface Factors {
  readonly embedding: number;
  readonly attention: number;
  readonly residual: number;
  /** Logits are divided by it. */
  readonly logits: number;
}

function graniteShape(base: DecoderBase, factors: Factors): DecoderShape {
  return {
    ...base,
    modelType: 'granite',
    gguf: 'granite',
    blocks: blocksOf(base.layers, undefined, { rotary: base.rotary }),
    activation: 'silu',
    interleaved: true,
    embeddingScale: factors.embedding,
    attentionScale: factors.attention,
    residualScale: factors.residual,
    logitScale: 1 / factors.logits,
    ggufEntries: {
      embedding_scale: f32(factors.embedding),
      'attention.scale': f32(factors.attention),
      residual_scale: f32(factors.residual),
      logit_scale: f32(factors.logits),
    },
  };
}
