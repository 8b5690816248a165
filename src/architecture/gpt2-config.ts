import { z } from 'zod';
import { blockCount, dimension, parseConfig, shared } from './config.js';
import { parseHuggingFace } from './config-keys.js';

/** What the graph of a GPT-2 (Radford et al., 2019) needs to know, from whichever format. */
export interface Gpt2Shape {
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly context: number;
  readonly epsilon: number;
}

const huggingfaceConfig = z.object({
  n_layer: blockCount,
  n_embd: dimension,
  n_inner: dimension.nullish(),
  n_head: dimension,
  vocab_size: dimension,
  n_positions: dimension.default(1024),
  layer_norm_epsilon: z.number().positive().default(1e-5),
  activation_function: z.enum(['gelu_new', 'gelu_pytorch_tanh']).default('gelu_new'),
  scale_attn_weights: z.literal(true).default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
  // An earlier name of n_positions.
  n_ctx: dimension.nullish(),
  // Keys of other families, which Hugging Face's code of this one does not read.
  intermediate_size: z.unknown().optional(),
  num_key_value_heads: z.unknown().optional(),
});

/** Reads a GPT-2 config.json. */
export function gpt2FromHuggingFace(config: unknown, file: string): Gpt2Shape {
  const parsed = parseHuggingFace(huggingfaceConfig, config, file);
  return checked(
    {
      layers: parsed.n_layer,
      hidden: parsed.n_embd,
      intermediate: parsed.n_inner ?? 4 * parsed.n_embd,
      heads: parsed.n_head,
      vocabulary: parsed.vocab_size,
      context: parsed.n_positions,
      epsilon: parsed.layer_norm_epsilon,
    },
    file,
  );
}

const ggufConfig = z.object({
  'gpt2.block_count': blockCount,
  'gpt2.embedding_length': dimension,
  'gpt2.feed_forward_length': dimension,
  'gpt2.attention.head_count': dimension,
  'gpt2.context_length': dimension,
  'gpt2.attention.layer_norm_epsilon': z.number().positive(),
});

/** Reads a GPT-2's GGUF metadata. */
export function gpt2FromGguf(metadata: unknown, vocabulary: number, file: string): Gpt2Shape {
  const parsed = parseConfig(ggufConfig, metadata, file);
  return checked(
    {
      layers: parsed['gpt2.block_count'],
      hidden: parsed['gpt2.embedding_length'],
      intermediate: parsed['gpt2.feed_forward_length'],
      heads: parsed['gpt2.attention.head_count'],
      vocabulary,
      context: parsed['gpt2.context_length'],
      epsilon: parsed['gpt2.attention.layer_norm_epsilon'],
    },
    file,
  );
}

function checked(shape: Gpt2Shape, file: string): Gpt2Shape {
  shared(shape.hidden, 'columns', shape.heads, 'attention heads', file);
  return shape;
}
