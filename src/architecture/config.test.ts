import { expect, test } from 'vitest';
import { TersorError } from '../errors.js';
import { bertFromHuggingFace } from './bert.js';
import type { DecoderShape } from './decoder-shape.js';
import { gemma3FromHuggingFace } from './gemma3.js';
import { gpt2FromGguf, gpt2FromHuggingFace } from './gpt2-config.js';
import { llamaFromGguf, llamaFromHuggingFace } from './llama.js';

const llama = {
  model_type: 'llama',
  num_hidden_layers: 2,
  hidden_size: 64,
  intermediate_size: 96,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 300,
};
const llamaGguf = {
  'general.architecture': 'llama',
  'llama.block_count': 2,
  'llama.embedding_length': 64,
  'llama.feed_forward_length': 96,
  'llama.context_length': 128,
  'llama.attention.head_count': 4,
  'llama.attention.head_count_kv': 2,
  'llama.attention.layer_norm_rms_epsilon': 1e-5,
};
const gpt2 = { n_layer: 2, n_embd: 64, n_head: 4, vocab_size: 300 };
const gpt2Gguf = {
  'gpt2.block_count': 2,
  'gpt2.embedding_length': 64,
  'gpt2.feed_forward_length': 256,
  'gpt2.attention.head_count': 4,
  'gpt2.context_length': 128,
  'gpt2.attention.layer_norm_epsilon': 1e-5,
};
const bert = {
  num_hidden_layers: 2,
  hidden_size: 64,
  intermediate_size: 96,
  num_attention_heads: 4,
  vocab_size: 300,
};
const readers = {
  llama: (change: object) => llamaFromHuggingFace({ ...llama, ...change }, 'config.json'),
  mistral: (change: object) =>
    llamaFromHuggingFace({ ...llama, model_type: 'mistral', ...change }, 'config.json'),
  'llama, gguf': (change: object) =>
    llamaFromGguf({ ...llamaGguf, ...change }, { vocabulary: 300, file: 'a.gguf' }),
  gpt2: (change: object) => gpt2FromHuggingFace({ ...gpt2, ...change }, 'config.json'),
  'gpt2, gguf': (change: object) => gpt2FromGguf({ ...gpt2Gguf, ...change }, 300, 'a.gguf'),
  gemma3: (change: object) => gemma3FromHuggingFace({ ...gemma3, ...change }, 'config.json'),
  bert: (change: object) =>
    bertFromHuggingFace({ ...bert, ...change }, { file: 'config.json', pooling: 'mean' }),
};
type Reader = keyof typeof readers;
const gemma3 = { ...llama, model_type: 'gemma3_text', head_dim: 16, sliding_window: 32 };
const mixed = ['full_attention', 'sliding_attention'];

test.each(Object.keys(readers) as Reader[])('%s: a sound configuration is read', (reader) => {
  const shape = readers[reader]({});
  const layers = 'blocks' in shape ? shape.blocks.length : shape.layers;
  expect({ ...shape, layers }).toMatchObject({ layers: 2, hidden: 64, heads: 4 });
});

test.each<[Reader, object, RegExp]>([
  // Each found by bench/fuzz.ts: a list of millions of tensors, or a graph that no weights fit.
  ['bert', { num_hidden_layers: 2 ** 24 }, /num_hidden_layers/],
  ['gpt2, gguf', { 'gpt2.block_count': 2 ** 24 }, /block_count/],
  ['bert', { num_attention_heads: 3 }, /64 columns cannot be shared by 3/],
  ['gpt2', { n_head: 4e6 }, /64 columns cannot be shared by 4000000/],
  ['gpt2, gguf', { 'gpt2.attention.head_count': 5 }, /64 columns cannot be shared by 5/],
  ['llama', { num_attention_heads: 3, num_key_value_heads: 3 }, /64 columns cannot be shared by 3/],
  ['llama', { num_key_value_heads: 3 }, /4 attention heads cannot be shared by 3/],
  ['llama', { head_dim: 17 }, /17 columns of a head cannot be shared by 2/],
  ['llama, gguf', { 'llama.expert_count': 8 }, /mixtures of experts are not supported/],
  ['llama, gguf', { 'llama.logit_scale': 2 }, /the entry logit_scale may change/],
  ['llama, gguf', { 'llama.rope.scaling.type': 'dynamic' }, /rope.scaling.type/],
  ['llama, gguf', { 'llama.attention.head_count': 6 }, /64 columns cannot be shared by 6/],
  ['llama', { rope_theta: 1e-320 }, /rope_theta/],
  ['llama', { rope_parameters: { rope_theta: 0 } }, /rope_theta/],
  ['llama', { rope_scaling: { type: 'linear', factor: 1e-320 } }, /factor must be a number above zero/],
  // What no graph follows is refused by name.
  ['llama', { logit_scale: 2 }, /sets logit_scale to 2/],
  ['llama', { sliding_window: 64 }, /sets sliding_window to 64/],
  ['llama', { rope_scaling: { type: 'linear', factor: 2, partial_rotary_factor: 0.5 } }, /partial_rotary/],
  ['mistral', { layer_types: mixed.slice(1), sliding_window: 64 }, /1 entries for 2 blocks/],
  ['mistral', { layer_types: mixed, sliding_window: null }, /sliding_window is not set/],
  ['gemma3', { final_logit_softcapping: 30 }, /final_logit_softcapping/],
  ['gemma3', { altup_num_inputs: 4 }, /sets altup_num_inputs to 4/],
  ['gpt2', { scale_attn_by_inverse_layer_idx: true }, /scale_attn_by_inverse_layer_idx/],
  ['bert', { is_decoder: true }, /is_decoder/],
])('%s with %o is refused', (reader, change, problem) => {
  expect(() => readers[reader](change)).toThrow(TersorError);
  expect(() => readers[reader](change)).toThrow(problem);
});

test('rotary factors that are not those of the heads are refused', () => {
  const read = (count: number) =>
    llamaFromGguf(llamaGguf, {
      vocabulary: 300,
      rope: { freqs: new Float32Array(count).fill(1) },
      file: 'a.gguf',
    });
  expect(read(8).blocks[0]?.rotary?.factors).toHaveLength(8);
  expect(() => read(7)).toThrow(/7 rotary factors do not fit 8 frequencies/);
});

test('windows follow the list of blocks, and the count of blocks without where there is no list', () => {
  const qwen = (change: object) =>
    llamaFromHuggingFace({ ...llama, model_type: 'qwen2', sliding_window: 32, ...change }, 'config.json');
  const windows = ({ blocks }: DecoderShape) => blocks.map(({ window }) => window);
  expect(windows(qwen({}))).toEqual([undefined, undefined]);
  expect(windows(qwen({ use_sliding_window: true, max_window_layers: 1 }))).toEqual([undefined, 32]);
  expect(windows(qwen({ use_sliding_window: true, layer_types: mixed }))).toEqual([undefined, 32]);
  expect(windows(qwen({ use_sliding_window: true }))).toEqual([undefined, undefined]);
  expect(windows(readers.mistral({ sliding_window: 32 }))).toEqual([32, 32]);
});

test('a Gemma 3 has two kinds of blocks, with rotary settings of their own', () => {
  const old = { num_hidden_layers: 6, sliding_window_pattern: 3, rope_theta: 5e5, rope_local_base_freq: 2e4 };
  const { blocks, queryFactor } = readers.gemma3({
    ...old,
    rope_scaling: { rope_type: 'linear', factor: 8 },
    query_pre_attn_scalar: 64,
  });
  expect(blocks.map(({ window }) => window)).toEqual([32, 32, undefined, 32, 32, undefined]);
  expect(blocks.map(({ rotary }) => rotary?.theta)).toEqual([2e4, 2e4, 5e5, 2e4, 2e4, 5e5]);
  expect(blocks.map(({ rotary }) => rotary?.factors?.[0])).toEqual([
    undefined,
    undefined,
    8,
    undefined,
    undefined,
    8,
  ]);
  expect(queryFactor).toBe(0.5);
});

test('the base of rotary frequencies is that of the newer settings where there are both', () => {
  const { blocks } = readers.llama({ rope_theta: 5e5, rope_parameters: { rope_theta: 2e4 } });
  expect(blocks[0]?.rotary?.theta).toBe(2e4);
});

test('YaRN in a GGUF is followed', () => {
  const yarn = {
    'llama.rope.scaling.type': 'yarn',
    'llama.rope.scaling.factor': 4,
    'llama.rope.scaling.original_context_length': 64,
  };
  const rotary = readers['llama, gguf'](yarn).blocks[0]?.rotary;
  expect(rotary?.magnitude).toBeCloseTo(0.1 * Math.log(4) + 1, 6);
  // The lowest frequency is stretched, the highest is not.
  expect(rotary?.factors?.at(-1)).toBeCloseTo(4, 6);
  expect(rotary?.factors?.[0]).toBe(1);
});
