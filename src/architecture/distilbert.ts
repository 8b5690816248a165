import { z } from 'zod';
import { bertBlocks, bertNames } from './bert.js';
import { blockCount, dimension } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { activationKey, type EncoderSource, encoderBase } from './encoder-config.js';
import type { EncoderShape } from './encoder-shape.js';

const keys = z.object({
  n_layers: blockCount,
  dim: dimension,
  hidden_dim: dimension,
  n_heads: dimension,
  vocab_size: dimension,
  max_position_embeddings: dimension.default(512),
  activation: activationKey,
  // Sinusoids are what the table of positions starts from in training; files hold it in either case.
  sinusoidal_pos_embds: z.boolean().default(false),
  // Training, and keys of other families, which Hugging Face's code of this one does not read.
  dropout: z.unknown().optional(),
  qa_dropout: z.unknown().optional(),
  seq_classif_dropout: z.unknown().optional(),
  intermediate_size: z.unknown().optional(),
  num_key_value_heads: z.unknown().optional(),
});

/** Reads the config.json of a DistilBERT (Sanh et al., 2019): a BERT of fewer blocks without segments. */
export function distilbertFromHuggingFace(config: unknown, source: EncoderSource): EncoderShape {
  const parsed = parseHuggingFace(keys, config, source.file);
  const { token_types: _, ...outside } = bertNames.outside;
  return {
    ...encoderBase(
      {
        ...parsed,
        num_hidden_layers: parsed.n_layers,
        hidden_size: parsed.dim,
        intermediate_size: parsed.hidden_dim,
        num_attention_heads: parsed.n_heads,
      },
      source,
    ),
    ...bertBlocks,
    modelType: 'distilbert',
    epsilon: 1e-12,
    activation: parsed.activation,
    positions: { rows: parsed.max_position_embeddings, first: 0 },
    names: {
      outside,
      block: (block) => `transformer.layer.${block}`,
      inside: {
        attn_q: 'attention.q_lin',
        attn_k: 'attention.k_lin',
        attn_v: 'attention.v_lin',
        attn_output: 'attention.out_lin',
        attn_output_norm: 'sa_layer_norm',
        ffn_up: 'ffn.lin1',
        ffn_down: 'ffn.lin2',
        layer_output_norm: 'output_layer_norm',
      },
    },
  };
}
