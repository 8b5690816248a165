import { z } from 'zod';
import type { Pooling } from '../checkpoint/pooling.js';
import { blockCount, dimension, shared } from './config.js';
import { parseHuggingFace } from './config-keys.js';

/** What the graph of a BERT (Devlin et al., 2018) needs to know. */
export interface BertShape {
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly vocabulary: number;
  readonly context: number;
  /** Kinds of segments; texts consist of the first. */
  readonly segments: number;
  readonly epsilon: number;
  readonly activation: 'gelu' | 'geluTanh';
  readonly pooling: Pooling;
}

const activations = { gelu: 'gelu', gelu_new: 'geluTanh', gelu_pytorch_tanh: 'geluTanh' } as const;

const huggingfaceConfig = z.object({
  num_hidden_layers: blockCount,
  hidden_size: dimension,
  intermediate_size: dimension,
  num_attention_heads: dimension,
  vocab_size: dimension,
  max_position_embeddings: dimension.default(512),
  type_vocab_size: dimension.default(2),
  layer_norm_eps: z.number().positive().default(1e-12),
  hidden_act: z.enum(['gelu', 'gelu_new', 'gelu_pytorch_tanh']).default('gelu'),
  position_embedding_type: z.literal('absolute').default('absolute'),
  is_decoder: z.literal(false).default(false),
  // Keys of other families, which Hugging Face's code of this one does not read.
  num_key_value_heads: z.unknown().optional(),
});

/** Reads a BERT config.json. */
export function bertFromHuggingFace(config: unknown, file: string, pooling: Pooling): BertShape {
  const parsed = parseHuggingFace(huggingfaceConfig, config, file);
  shared(parsed.hidden_size, 'columns', parsed.num_attention_heads, 'attention heads', file);
  return {
    layers: parsed.num_hidden_layers,
    hidden: parsed.hidden_size,
    intermediate: parsed.intermediate_size,
    heads: parsed.num_attention_heads,
    vocabulary: parsed.vocab_size,
    context: parsed.max_position_embeddings,
    segments: parsed.type_vocab_size,
    epsilon: parsed.layer_norm_eps,
    activation: activations[parsed.hidden_act],
    pooling,
  };
}
