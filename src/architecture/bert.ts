import { z } from 'zod';
import { parseHuggingFace } from './config-keys.js';
import { bertKeys, type EncoderSource, encoderBase } from './encoder-config.js';
import type { EncoderNames, EncoderShape } from './encoder-shape.js';

/** Hugging Face's names of BERT's modules, which most families in its manner took over. */
export const bertNames: EncoderNames = {
  outside: {
    token_embd: 'embeddings.word_embeddings',
    position_embd: 'embeddings.position_embeddings',
    token_types: 'embeddings.token_type_embeddings',
    token_embd_norm: 'embeddings.LayerNorm',
  },
  block: (block) => `encoder.layer.${block}`,
  inside: {
    attn_q: 'attention.self.query',
    attn_k: 'attention.self.key',
    attn_v: 'attention.self.value',
    attn_output: 'attention.output.dense',
    attn_output_norm: 'attention.output.LayerNorm',
    ffn_up: 'intermediate.dense',
    ffn_down: 'output.dense',
    layer_output_norm: 'output.LayerNorm',
  },
};

/** What is the same in BERT and in the families that took over its blocks. */
export const bertBlocks = {
  norms: 'behind',
  feedForward: 'plain',
  biases: { norm: true, attention: true, feedForward: true },
  names: bertNames,
} as const;

const keys = z.object(bertKeys);

/** Reads the config.json of a BERT (Devlin et al., 2018). */
export function bertFromHuggingFace(config: unknown, source: EncoderSource): EncoderShape {
  const parsed = parseHuggingFace(keys, config, source.file);
  return {
    ...encoderBase(parsed, source),
    ...bertBlocks,
    modelType: 'bert',
    epsilon: parsed.layer_norm_eps,
    activation: parsed.hidden_act,
    positions: { rows: parsed.max_position_embeddings, first: 0 },
    segments: parsed.type_vocab_size,
  };
}
