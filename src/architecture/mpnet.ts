import { z } from 'zod';
import { bertBlocks, bertNames } from './bert.js';
import { parseHuggingFace } from './config-keys.js';
import { activationKey, type EncoderSource, encoderBase, encoderKeys, epsilonKey } from './encoder-config.js';
import type { EncoderShape } from './encoder-shape.js';
import { learnedPositions } from './roberta.js';

/** Of the table of biases by distance, below the name of the whole model. */
export const mpnetBias = 'encoder.relative_attention_bias.weight';

// Hugging Face's code has these two as they are here, whatever the configuration says.
const padding = 1;
const farthest = 128;

const keys = z.object({
  ...encoderKeys,
  layer_norm_eps: epsilonKey.default(1e-12),
  hidden_act: activationKey,
  relative_attention_num_buckets: z.literal(32).default(32),
});

/**
 * Reads the config.json of an MPNet (Song et al., 2020): a BERT without segments, whose scores also depend on the distance
 * of two tokens.
 * @param table biases by distance, buckets × heads
 */
export function mpnetFromHuggingFace(
  config: unknown,
  source: EncoderSource,
  table: Float32Array,
): EncoderShape {
  const parsed = parseHuggingFace(keys, config, source.file);
  const positions = learnedPositions(parsed.max_position_embeddings, padding, source.file);
  const { token_types: _, ...outside } = bertNames.outside;
  return {
    ...encoderBase(parsed, source),
    ...bertBlocks,
    modelType: 'mpnet',
    epsilon: parsed.layer_norm_eps,
    activation: parsed.hidden_act,
    context: positions.rows - positions.first,
    positions,
    relative: { buckets: parsed.relative_attention_num_buckets, farthest, table },
    names: {
      outside: { ...outside, relative_bias: mpnetBias.replace(/\.weight$/, '') },
      block: bertNames.block,
      inside: {
        ...bertNames.inside,
        attn_q: 'attention.attn.q',
        attn_k: 'attention.attn.k',
        attn_v: 'attention.attn.v',
        attn_output: 'attention.attn.o',
        attn_output_norm: 'attention.LayerNorm',
      },
    },
  };
}
