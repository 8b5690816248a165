import { z } from 'zod';
import { dimension, wrongConfig } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { activationKey, type EncoderSource, encoderBase, encoderKeys, epsilonKey } from './encoder-config.js';
import type { EncoderShape } from './encoder-shape.js';
import { ropeConfig, rotaryOf, theta } from './rotary-scaling.js';
import { attentionTypes } from './windows.js';

const biasKey = z.boolean().default(false);

const keys = z.object({
  ...encoderKeys,
  max_position_embeddings: dimension.default(8192),
  norm_eps: epsilonKey.default(1e-5),
  hidden_activation: activationKey,
  norm_bias: biasKey,
  attention_bias: biasKey,
  mlp_bias: biasKey,
  local_attention: dimension.default(128),
  layer_types: attentionTypes.nullish(),
  global_attn_every_n_layers: dimension.default(3),
  rope_parameters: z.object({ full_attention: ropeConfig, sliding_attention: ropeConfig }).nullish(),
  // As transformers 4 wrote them.
  global_rope_theta: theta.nullish(),
  local_rope_theta: theta.nullish(),
  // Left over from BERT's configuration: the code of this family reads norm_eps, and has no learned positions.
  layer_norm_eps: z.unknown().optional(),
  position_embedding_type: z.unknown().optional(),
  // Heads and training, which are not part of the encoder.
  classifier_activation: z.unknown().optional(),
  classifier_bias: z.unknown().optional(),
  classifier_pooling: z.unknown().optional(),
  decoder_bias: z.unknown().optional(),
  embedding_dropout: z.unknown().optional(),
  mlp_dropout: z.unknown().optional(),
  initializer_cutoff_factor: z.unknown().optional(),
  sparse_prediction: z.unknown().optional(),
  sparse_pred_ignore_index: z.unknown().optional(),
  // How it is run.
  deterministic_flash_attn: z.unknown().optional(),
  reference_compile: z.unknown().optional(),
  repad_logits_with_grad: z.unknown().optional(),
});

/**
 * Reads the config.json of a ModernBERT (Warner et al., 2024, arXiv:2412.13663): rotary positions, norms in front of the
 * layers, gates, and blocks of which most see half of `local_attention` tokens on either side.
 */
export function modernbertFromHuggingFace(config: unknown, source: EncoderSource): EncoderShape {
  const { file } = source;
  const parsed = parseHuggingFace(keys, config, file);
  const { num_hidden_layers: blocks, layer_types: types, max_position_embeddings: context } = parsed;
  if (types && types.length !== blocks)
    throw wrongConfig(`layer_types has ${types.length} entries for ${blocks} blocks`, file);
  const { headDim } = encoderBase(parsed, source);
  const rotary = (kind: 'full_attention' | 'sliding_attention', older: number) => {
    const given = parsed.rope_parameters?.[kind] ?? {};
    return rotaryOf({ headDim, theta: given.rope_theta ?? older }, given, { context, file });
  };
  const global = parsed.global_rope_theta ?? 160000;
  const [full, sliding] = [
    rotary('full_attention', global),
    rotary(
      'sliding_attention',
      parsed.local_rope_theta ?? (parsed.local_rope_theta === null ? global : 10000),
    ),
  ];
  const window = Math.floor(parsed.local_attention / 2);
  const isFull = (index: number) =>
    types ? types[index] === 'full_attention' : index % parsed.global_attn_every_n_layers === 0;
  return {
    ...encoderBase(parsed, source, (index) =>
      isFull(index) ? { rotary: full } : { rotary: sliding, window },
    ),
    modelType: 'modernbert',
    epsilon: parsed.norm_eps,
    activation: parsed.hidden_activation,
    norms: 'before',
    fusedAttention: true,
    feedForward: 'fused',
    biases: { norm: parsed.norm_bias, attention: parsed.attention_bias, feedForward: parsed.mlp_bias },
    names: {
      outside: {
        token_embd: 'embeddings.tok_embeddings',
        token_embd_norm: 'embeddings.norm',
        output_norm: 'final_norm',
      },
      block: (block) => `layers.${block}`,
      inside: {
        attn_norm: 'attn_norm',
        attn_qkv: 'attn.Wqkv',
        attn_output: 'attn.Wo',
        ffn_norm: 'mlp_norm',
        ffn_up: 'mlp.Wi',
        ffn_down: 'mlp.Wo',
      },
    },
  };
}
