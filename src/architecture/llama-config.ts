import { z } from 'zod';
import { blockCount, dimension, parseConfig, shared, wrongConfig } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { ggufEntriesOf } from './gguf-entries.js';
import type { Rotary } from './rotary.js';
import { ropeConfig, rotaryFactors, theta } from './rotary-scaling.js';
import { attentionTypes, windowsOf } from './windows.js';

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
  /** Positions that each block's attention looks back over, where that is fewer than all in any. */
  readonly windows?: readonly (number | undefined)[];
}

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
  rope_scaling: ropeConfig.nullish(),
  // transformers 5 writes theta and scaling as one object
  rope_parameters: ropeConfig.nullish(),
  hidden_act: z.literal('silu').default('silu'),
  // Whether there are biases, the tensors tell.
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  // Of exports before Hugging Face settled on half-split rotation; its own code reads neither.
  rope_interleaved: z.literal(false).nullish(),
});

const windows = {
  sliding_window: dimension.nullish(),
  layer_types: attentionTypes.nullish(),
};
const mistralConfig = huggingfaceConfig.extend(windows);
const qwenConfig = mistralConfig.extend({
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().min(0).nullish(),
  // Multimodal rotation, which texts alone do not show.
  use_mrope: z.literal(false).nullish(),
});

/** Reads a Llama-family config.json. */
export function llamaFromHuggingFace(config: unknown, file: string): LlamaShape {
  const { model_type: type } = parseConfig(huggingfaceConfig, config, file);
  if (type === 'llama') return shapeOf(parseHuggingFace(huggingfaceConfig, config, file), undefined, file);
  if (type === 'mistral') {
    const parsed = parseHuggingFace(mistralConfig, config, file);
    return shapeOf(
      parsed,
      windowsOf(parsed, () => true, file),
      file,
    );
  }
  const parsed = parseHuggingFace(qwenConfig, config, file);
  const from = parsed.max_window_layers ?? defaultMaxWindowLayers;
  const sliding = parsed.use_sliding_window === true;
  return shapeOf(parsed, sliding ? windowsOf(parsed, (block) => block >= from, file) : undefined, file);
}

/** Of Qwen2Config and Qwen3Config. */
const defaultMaxWindowLayers = 28;

function shapeOf(
  parsed: z.infer<typeof huggingfaceConfig>,
  windows: LlamaShape['windows'],
  file: string,
): LlamaShape {
  const heads = parsed.num_attention_heads;
  const scaling = parsed.rope_scaling ?? parsed.rope_parameters;
  const rotary: Rotary = {
    headDim: parsed.head_dim ?? shared(parsed.hidden_size, 'columns', heads, 'attention heads', file),
    theta: parsed.rope_theta ?? scaling?.rope_theta ?? 10000,
  };
  const factors = rotaryFactors(rotary, scaling ?? {}, file);
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
      ...(windows ? { windows } : {}),
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

/** Reads the GGUF metadata of a Llama, Mistral or Qwen; `factors` are the contents of rope_freqs.weight. */
export function llamaFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  vocabulary: number,
  factors: Float32Array | undefined,
  file: string,
): LlamaShape {
  const name = String(metadata['general.architecture']);
  const own = ggufEntriesOf(metadata, name);
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
