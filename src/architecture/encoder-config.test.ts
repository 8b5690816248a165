import { expect, test } from 'vitest';
import { TersorError } from '../errors.js';
import { bertFromHuggingFace } from './bert.js';
import { distilbertFromHuggingFace } from './distilbert.js';
import { electraFromHuggingFace } from './electra.js';
import type { EncoderSource } from './encoder-config.js';
import { type EncoderShape, relativeBucket } from './encoder-shape.js';
import { modernbertFromHuggingFace } from './modernbert.js';
import { mpnetFromHuggingFace } from './mpnet.js';
import { nomicBertFromHuggingFace } from './nomic-bert.js';
import { robertaFromHuggingFace } from './roberta.js';

const source: EncoderSource = { file: 'config.json', pooling: 'mean' };
const sizes = {
  num_hidden_layers: 4,
  hidden_size: 64,
  intermediate_size: 96,
  num_attention_heads: 4,
  vocab_size: 300,
};
/** What nomic-embed-text-v1.5 has in its config.json, but smaller. */
const olderNomic = {
  activation_function: 'swiglu',
  causal: false,
  dense_seq_output: true,
  fused_bias_fc: true,
  fused_dropout_add_ln: true,
  layer_norm_epsilon: 1e-12,
  max_trained_positions: 2048,
  mlp_fc1_bias: false,
  mlp_fc2_bias: false,
  model_type: 'nomic_bert',
  n_embd: 64,
  n_head: 4,
  n_inner: 96,
  n_layer: 4,
  n_positions: 8192,
  pad_vocab_size_multiple: 64,
  parallel_block: false,
  parallel_block_tied_norm: false,
  prenorm: false,
  qkv_proj_bias: false,
  rotary_emb_base: 1000,
  rotary_emb_fraction: 1.0,
  rotary_emb_interleaved: false,
  rotary_emb_scale_base: null,
  rotary_scaling_factor: null,
  scale_attn_by_inverse_layer_idx: false,
  scale_attn_weights: true,
  summary_first_dropout: 0.0,
  type_vocab_size: 2,
  use_flash_attn: true,
  use_rms_norm: false,
  use_xentropy: true,
  vocab_size: 300,
};
type Read = (change: object) => EncoderShape;
const readers: Readonly<Record<string, Read>> = {
  bert: (change) => bertFromHuggingFace({ ...sizes, ...change }, source),
  roberta: (change) => robertaFromHuggingFace({ ...sizes, ...change }, source),
  electra: (change) => electraFromHuggingFace({ ...sizes, ...change }, source),
  distilbert: (change) =>
    distilbertFromHuggingFace(
      { n_layers: 4, dim: 64, hidden_dim: 96, n_heads: 4, vocab_size: 300, ...change },
      source,
    ),
  mpnet: (change) => mpnetFromHuggingFace({ ...sizes, ...change }, source, new Float32Array(128)),
  modernbert: (change) => modernbertFromHuggingFace({ ...sizes, ...change }, source),
  nomic: (change) => nomicBertFromHuggingFace({ ...sizes, ...change }, source),
  'nomic, older': (change) => nomicBertFromHuggingFace({ ...olderNomic, ...change }, source),
};
const reader = (name: string): Read => readers[name] ?? (() => expect.fail(name));

test.each(Object.keys(readers))('%s: sizes are read, and a key that nobody knows is refused', (name) => {
  const shape = reader(name)({});
  expect(shape).toMatchObject({ hidden: 64, intermediate: 96, heads: 4, vocabulary: 300 });
  expect(shape.blocks.length).toBe(4);
  expect(() => reader(name)({ attention_sharpness: 2 })).toThrow(TersorError);
  expect(() => reader(name)({ attention_sharpness: 2 })).toThrow('attention_sharpness');
});

test.each([
  ['bert', { position_embedding_type: 'relative_key' }, 'position_embedding_type'],
  ['bert', { hidden_act: 'relu' }, 'hidden_act'],
  ['bert', { num_attention_heads: 5 }, '64 columns cannot be shared by 5 attention heads'],
  ['roberta', { is_decoder: true }, 'is_decoder'],
  ['roberta', { max_position_embeddings: 2 }, 'max_position_embeddings'],
  ['mpnet', { relative_attention_num_buckets: 64 }, 'relative_attention_num_buckets'],
  ['distilbert', { activation: 'relu' }, 'activation'],
  ['modernbert', { layer_types: ['full_attention'] }, 'layer_types has 1 entries for 4 blocks'],
  ['modernbert', { hidden_activation: 'silu' }, 'hidden_activation'],
  ['nomic', { hidden_act: 'gelu' }, 'hidden_act'],
  ['nomic', { rope_parameters: { rope_type: 'dynamic', factor: 2 } }, 'dynamic'],
  ['nomic, older', { rotary_scaling_factor: 2 }, 'rotary_scaling_factor'],
  ['nomic, older', { prenorm: true }, 'prenorm'],
  ['nomic, older', { qkv_proj_bias: true }, 'qkv_proj_bias'],
])('%s: %j is refused', (name, change, problem) => {
  expect(() => reader(name)(change)).toThrow(TersorError);
  expect(() => reader(name)(change)).toThrow(problem);
});

test('positions start behind that of padding, which the configuration names', () => {
  expect(reader('roberta')({ max_position_embeddings: 514 })).toMatchObject({
    context: 512,
    positions: { rows: 514, first: 2 },
  });
  expect(reader('roberta')({ pad_token_id: 4 }).positions?.first).toBe(5);
});

test('the older configuration of a Nomic BERT says the same as the newer one', () => {
  const rope = { rope_parameters: { rope_type: 'default', rope_theta: 1000 } };
  expect(reader('nomic, older')({})).toEqual(reader('nomic')(rope));
});

test('every third block of a ModernBERT sees the whole text where the configuration does not list them', () => {
  const windows = (change: object) => reader('modernbert')(change).blocks.map(({ window }) => window);
  expect(windows({})).toEqual([undefined, 64, 64, undefined]);
  expect(windows({ global_attn_every_n_layers: 2, local_attention: 16 })).toEqual([
    undefined,
    8,
    undefined,
    8,
  ]);
  const thetas = (change: object) => reader('modernbert')(change).blocks.map(({ rotary }) => rotary?.theta);
  expect(thetas({ local_rope_theta: null })).toEqual([160000, 160000, 160000, 160000]);
  expect(thetas({ global_rope_theta: 1e5, local_rope_theta: 500 })).toEqual([1e5, 500, 500, 1e5]);
});

test('buckets of distances are symmetric, in order, and end at the farthest', () => {
  const about = { buckets: 32, farthest: 128 };
  const buckets = [0, 1, 7, 8, 16, 32, 64, 127, 128, 500].map((distance) => relativeBucket(-distance, about));
  // T5's table (Raffel et al., 2019): single distances below 8, then by the logarithm.
  expect(buckets).toEqual([0, 1, 7, 8, 10, 12, 14, 15, 15, 15]);
  for (const distance of [1, 9, 100]) {
    expect(relativeBucket(distance, about)).toBe(relativeBucket(-distance, about) + 16);
  }
});
