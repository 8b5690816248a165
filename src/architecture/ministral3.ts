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
import { f32, u32 } from './decoder-gguf.js';
import type { DecoderShape } from './decoder-shape.js';
import { ropeConfig } from './rotary-scaling.js';
import { blocksOf } from './windows.js';

const keys = z.object({
  ...decoderKeys,
  rms_norm_eps: epsilonKey.default(1e-5),
  hidden_act: z.literal('silu').default('silu'),
  sliding_window: z.null().optional(),
  rope_parameters: ropeConfig.extend({
    llama_4_scaling_beta: z.number().min(0).nullish(),
    original_max_position_embeddings: z.number().int().positive(),
  }),
});

/**
 * Reads the config.json of a Ministral 3 (Mistral AI, 2025). Scores grow beyond the original context (by
 * 1 + β ln(1 + ⌊position / original⌋)); texts here are never longer, so that nothing of it is computed.
 */
export function ministral3FromHuggingFace(config: unknown, file: string): DecoderShape {
  const parsed = parseHuggingFace(keys, config, file);
  const { llama_4_scaling_beta: beta, ...rope } = parsed.rope_parameters;
  return ministral3Shape(decoderBase(parsed, { file, epsilon: parsed.rms_norm_eps, rope }), {
    beta: beta ?? 0,
    original: rope.original_max_position_embeddings,
  });
}

const ggufKeys = z.object({
  'attention.temperature_scale': z.number().min(0).default(0),
  'rope.scaling.original_context_length': z.number().int().positive(),
});

/** Reads the GGUF metadata of a Ministral 3. */
export function ministral3FromGguf(
  metadata: Readonly<Record<string, unknown>>,
  source: GgufSource,
): DecoderShape {
  const { entries, base } = ggufDecoder(metadata, source, Object.keys(ggufKeys.shape));
  const parsed = parseConfig(ggufKeys, entries, source.file);
  return ministral3Shape(base, {
    beta: parsed['attention.temperature_scale'],
    original: parsed['rope.scaling.original_context_length'],
  });
}

interface Ministral3 {
  /** By how much scores grow beyond the original context. */
  readonly beta: number;
  readonly original: number;
}

function ministral3Shape(base: DecoderBase, { beta, original }: Ministral3): DecoderShape {
  return {
    ...base,
    context: beta ? Math.min(base.context, original) : base.context,
    modelType: 'ministral3',
    gguf: 'mistral3',
    blocks: blocksOf(base.layers, undefined, { rotary: base.rotary }),
    activation: 'silu',
    interleaved: true,
    ggufEntries: {
      context_length: u32(base.context),
      ...(beta ? { 'attention.temperature_scale': f32(beta) } : {}),
    },
  };
}
