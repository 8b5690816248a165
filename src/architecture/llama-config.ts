import { z } from 'zod';
import { TersorError } from '../errors.js';
import { blockCount, dimension, parseConfig, shared, wrongConfig } from './config.js';
import { llama3Factors, type Rotary } from './rotary.js';

/** Llama and those that differ from it in biases, query-key norms and defaults only. */
export const llamaTypes = ['llama', 'mistral', 'qwen2', 'qwen3'] as const;
export type LlamaType = (typeof llamaTypes)[number];

/** What the graph needs to know, from whichever format. */
export interface LlamaShape {
  readonly modelType: LlamaType;
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly epsilon: number;
  readonly rotary: Rotary;
  /** Positions an attention head looks back over, when fewer than all. */
  readonly window?: number;
}

/** Base of rotary frequencies: 10,000 to some millions in real models; below 1 they would grow instead of fall. */
const theta = z.number().min(1).max(1e15);
const rope = z.looseObject({ rope_theta: theta.nullish() });

const huggingfaceConfig = z.object({
  model_type: z.enum(llamaTypes),
  num_hidden_layers: blockCount,
  hidden_size: dimension,
  intermediate_size: dimension,
  num_attention_heads: dimension,
  num_key_value_heads: dimension.nullish(),
  head_dim: dimension.nullish(),
  vocab_size: dimension,
  max_position_embeddings: dimension.default(2048),
  rms_norm_eps: z.number().positive().default(1e-6),
  rope_theta: theta.nullish(),
  rope_scaling: rope.nullish(),
  // transformers 5 writes theta and scaling as one object
  rope_parameters: rope.nullish(),
  sliding_window: dimension.nullish(),
  use_sliding_window: z.boolean().nullish(),
  hidden_act: z.literal('silu').default('silu'),
});

/** Reads a Llama-family config.json. */
export function llamaFromHuggingFace(config: unknown, file: string): LlamaShape {
  const parsed = parseConfig(huggingfaceConfig, config, file);
  const heads = parsed.num_attention_heads;
  const scaling = parsed.rope_scaling ?? parsed.rope_parameters;
  const rotary: Rotary = {
    headDim: parsed.head_dim ?? shared(parsed.hidden_size, 'columns', heads, 'attention heads', file),
    theta: parsed.rope_theta ?? scaling?.rope_theta ?? 10000,
  };
  const factors = rotaryFactors(rotary, scaling ?? {}, file);
  const windowed = parsed.use_sliding_window ?? parsed.model_type === 'mistral';
  return checked(
    {
      modelType: parsed.model_type,
      layers: parsed.num_hidden_layers,
      hidden: parsed.hidden_size,
      intermediate: parsed.intermediate_size,
      heads,
      kvHeads: parsed.num_key_value_heads ?? heads,
      vocabulary: parsed.vocab_size,
      context: parsed.max_position_embeddings,
      epsilon: parsed.rms_norm_eps,
      rotary: factors ? { ...rotary, factors } : rotary,
      ...(windowed && parsed.sliding_window ? { window: parsed.sliding_window } : {}),
    },
    file,
  );
}

/** Grouped queries come in whole groups, and rotary positions turn the two halves of a head against each other. */
function checked(shape: LlamaShape, file: string): LlamaShape {
  const { heads, kvHeads, rotary } = shape;
  shared(heads, 'attention heads', kvHeads, 'heads of keys and values', file);
  const pairs = shared(rotary.headDim, 'columns of a head', 2, 'halves', file);
  if (rotary.factors && rotary.factors.length !== pairs)
    throw wrongConfig(`${rotary.factors.length} rotary factors do not fit ${pairs} frequencies`, file);
  return shape;
}

function rotaryFactors(
  rotary: Rotary,
  scaling: Record<string, unknown>,
  file: string,
): Float32Array | undefined {
  const type = scaling.rope_type ?? scaling.type ?? 'default';
  if (type === 'default') return undefined;
  const number = (key: string) => {
    const value = scaling[key];
    if (typeof value === 'number' && Math.fround(value) > 0 && Number.isFinite(Math.fround(value)))
      return value;
    throw new TersorError(`rope_scaling.${key} must be a number above zero`, {
      file,
      remedy: 'correct config.json',
    });
  };
  if (type === 'linear') return new Float32Array(rotary.headDim / 2).fill(number('factor'));
  if (type === 'llama3') {
    return llama3Factors(rotary, {
      factor: number('factor'),
      lowFrequencyFactor: number('low_freq_factor'),
      highFrequencyFactor: number('high_freq_factor'),
      originalContext: number('original_max_position_embeddings'),
    });
  }
  throw new TersorError(`rotary scaling ${JSON.stringify(type)} is not supported`, {
    code: 'unsupported',
    file,
    remedy:
      'tersor knows default, linear and llama3; set rope_scaling to null to compress for the original context',
  });
}

/** Reads the GGUF metadata of a Llama, Mistral or Qwen; `factors` are the contents of rope_freqs.weight. */
export function llamaFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  vocabulary: number,
  factors: Float32Array | undefined,
  file: string,
): LlamaShape {
  const name = String(metadata['general.architecture']);
  const own = Object.fromEntries(
    Object.entries(metadata)
      .filter(([key]) => key.startsWith(`${name}.`))
      .map(([key, value]) => [key.slice(name.length + 1), value]),
  );
  const parsed = parseConfig(ggufConfig, own, file);
  const heads = parsed['attention.head_count'];
  const headDim =
    parsed['attention.key_length'] ??
    shared(parsed.embedding_length, 'columns', heads, 'attention heads', file);
  const linearFactor = parsed['rope.scaling.type'] === 'linear' ? parsed['rope.scaling.factor'] : undefined;
  const divisors = factors ?? (linearFactor && new Float32Array(headDim / 2).fill(linearFactor));
  return checked(
    {
      modelType: name as LlamaType,
      layers: parsed.block_count,
      hidden: parsed.embedding_length,
      intermediate: parsed.feed_forward_length,
      heads,
      kvHeads: parsed['attention.head_count_kv'] ?? heads,
      vocabulary,
      context: parsed.context_length,
      epsilon: parsed['attention.layer_norm_rms_epsilon'],
      rotary: { headDim, theta: parsed['rope.freq_base'], ...(divisors ? { factors: divisors } : {}) },
    },
    file,
  );
}

const ggufConfig = z.object({
  block_count: blockCount,
  embedding_length: dimension,
  feed_forward_length: dimension,
  context_length: dimension,
  'attention.head_count': dimension,
  'attention.head_count_kv': dimension.optional(),
  'attention.key_length': dimension.optional(),
  'attention.layer_norm_rms_epsilon': z.number().positive(),
  'rope.freq_base': theta.default(10000),
  'rope.scaling.type': z.string().optional(),
  'rope.scaling.factor': z.number().positive().optional(),
});
