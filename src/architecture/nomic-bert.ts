import { z } from 'zod';
import { blockCount, dimension } from './config.js';
import { parseHuggingFace } from './config-keys.js';
import { type EncoderSource, encoderBase, encoderKeys, epsilonKey } from './encoder-config.js';
import type { EncoderNames, EncoderShape } from './encoder-shape.js';
import { ropeConfig, rotaryOf, theta } from './rotary-scaling.js';

const keys = z.object({
  ...encoderKeys,
  max_position_embeddings: dimension.default(2048),
  type_vocab_size: dimension.default(2),
  layer_norm_eps: epsilonKey.default(1e-12),
  hidden_act: z.literal('silu').default('silu'),
  head_dim: dimension.nullish(),
  rope_parameters: ropeConfig.nullish(),
});

/** As the repositories of Nomic have them, whose code came with the models before it was part of transformers. */
const olderKeys = z.object({
  n_layer: blockCount,
  n_embd: dimension,
  n_inner: dimension,
  n_head: dimension,
  n_positions: dimension,
  vocab_size: dimension,
  max_trained_positions: dimension.nullish(),
  type_vocab_size: dimension.default(2),
  layer_norm_epsilon: epsilonKey.default(1e-12),
  activation_function: z.literal('swiglu'),
  rotary_emb_base: theta.default(10000),
  rotary_emb_fraction: z.literal(1),
  rotary_emb_interleaved: z.literal(false).default(false),
  rotary_emb_scale_base: z.null().default(null),
  rotary_scaling_factor: z.null().default(null),
  prenorm: z.literal(false).default(false),
  causal: z.literal(false).default(false),
  parallel_block: z.literal(false).default(false),
  qkv_proj_bias: z.literal(false),
  mlp_fc1_bias: z.literal(false),
  mlp_fc2_bias: z.literal(false),
  scale_attn_weights: z.literal(true).default(true),
  scale_attn_by_inverse_layer_idx: z.literal(false).default(false),
  use_rms_norm: z.literal(false).default(false),
  // How it is run, and how the size of the vocabulary came about.
  dense_seq_output: z.unknown().optional(),
  fused_bias_fc: z.unknown().optional(),
  fused_dropout_add_ln: z.unknown().optional(),
  use_flash_attn: z.unknown().optional(),
  use_xentropy: z.unknown().optional(),
  pad_vocab_size_multiple: z.unknown().optional(),
});

const names: EncoderNames = {
  outside: {
    token_embd: 'embeddings.word_embeddings',
    token_types: 'embeddings.token_type_embeddings',
    token_embd_norm: 'emb_ln',
  },
  block: (block) => `encoder.layers.${block}`,
  inside: {
    attn_qkv: 'attn.Wqkv',
    attn_output: 'attn.out_proj',
    attn_output_norm: 'norm1',
    ffn_up: 'mlp.fc11',
    ffn_gate: 'mlp.fc12',
    ffn_down: 'mlp.fc2',
    layer_output_norm: 'norm2',
  },
};

type Settings = Omit<z.output<typeof keys>, 'rope_parameters' | 'head_dim' | 'hidden_act'> & {
  readonly rope: z.output<typeof ropeConfig>;
};

/**
 * Reads the config.json of a Nomic BERT (Nussbaum et al., 2024, arXiv:2402.01613): a BERT with rotary positions, gates, and
 * no biases but those of its norms.
 */
export function nomicBertFromHuggingFace(config: unknown, source: EncoderSource): EncoderShape {
  const older = config !== null && typeof config === 'object' && 'n_embd' in config;
  const parsed = older ? olderSettings(config, source.file) : settings(config, source.file);
  const { headDim, context } = encoderBase(parsed, source);
  const plain = { headDim, theta: parsed.rope.rope_theta ?? 10000 };
  const rotary = rotaryOf(plain, parsed.rope, { context, file: source.file });
  return {
    ...encoderBase(parsed, source, () => ({ rotary })),
    modelType: 'nomic_bert',
    epsilon: parsed.layer_norm_eps,
    activation: 'silu',
    segments: parsed.type_vocab_size,
    norms: 'behind',
    fusedAttention: true,
    feedForward: 'gated',
    biases: { norm: true, attention: false, feedForward: false },
    names,
  };
}

function settings(config: unknown, file: string): Settings {
  const { rope_parameters: rope, ...parsed } = parseHuggingFace(keys, config, file);
  return { ...parsed, rope: rope ?? {} };
}

function olderSettings(config: object, file: string): Settings {
  const parsed = parseHuggingFace(olderKeys, config, file);
  return {
    num_hidden_layers: parsed.n_layer,
    hidden_size: parsed.n_embd,
    intermediate_size: parsed.n_inner,
    num_attention_heads: parsed.n_head,
    vocab_size: parsed.vocab_size,
    // Beyond those of the training the frequencies would have to be stretched.
    max_position_embeddings: Math.min(parsed.n_positions, parsed.max_trained_positions ?? parsed.n_positions),
    type_vocab_size: parsed.type_vocab_size,
    layer_norm_eps: parsed.layer_norm_epsilon,
    rope: { rope_theta: parsed.rotary_emb_base },
  };
}
