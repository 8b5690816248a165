import { expect, test } from 'vitest';
import { TersorError } from '../errors.js';
import { bertFromHuggingFace } from './bert-config.js';
import { gpt2FromGguf, gpt2FromHuggingFace } from './gpt2-config.js';
import { llamaFromGguf, llamaFromHuggingFace } from './llama-config.js';

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
  'llama, gguf': (change: object) => llamaFromGguf({ ...llamaGguf, ...change }, 300, undefined, 'a.gguf'),
  gpt2: (change: object) => gpt2FromHuggingFace({ ...gpt2, ...change }, 'config.json'),
  'gpt2, gguf': (change: object) => gpt2FromGguf({ ...gpt2Gguf, ...change }, 300, 'a.gguf'),
  bert: (change: object) => bertFromHuggingFace({ ...bert, ...change }, 'config.json', 'mean'),
};
type Reader = keyof typeof readers;

test.each(Object.keys(readers) as Reader[])('%s: a sound configuration is read', (reader) => {
  expect(readers[reader]({})).toMatchObject({ layers: 2, hidden: 64, heads: 4 });
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
  ['llama, gguf', { 'llama.attention.head_count': 6 }, /64 columns cannot be shared by 6/],
  ['llama', { rope_theta: 1e-320 }, /rope_theta/],
  ['llama', { rope_parameters: { rope_theta: 0 } }, /rope_theta/],
  ['llama', { rope_scaling: { type: 'linear', factor: 1e-320 } }, /factor must be a number above zero/],
])('%s with %o is refused', (reader, change, problem) => {
  expect(() => readers[reader](change)).toThrow(TersorError);
  expect(() => readers[reader](change)).toThrow(problem);
});

test('rotary factors that are not those of the heads are refused', () => {
  const read = (count: number) => llamaFromGguf(llamaGguf, 300, new Float32Array(count).fill(1), 'a.gguf');
  expect(read(8).rotary.factors).toHaveLength(8);
  expect(() => read(7)).toThrow(/7 rotary factors do not fit 8 frequencies/);
});
