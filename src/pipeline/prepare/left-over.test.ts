import { expect, test } from 'vitest';
import type { Model } from '../../architecture/model.js';
import { leftOver } from './left-over.js';

/** A tied model of one layer whose checkpoint has these tensors besides, and that layer in a type. */
function modelWith(names: readonly string[], type = 'bf16'): Model {
  const own = { kind: 'linear', names: { huggingface: 'up.weight', gguf: 'up.weight' } };
  const tensors = new Map(['up.weight', ...names].map((name) => [name, { name, type }]));
  return {
    checkpoint: { path: 'model', tensors },
    architecture: { tensors: [own], tied: true, ggufExtras: () => [{ name: 'rope_short.weight' }] },
    nameOf: ({ names: { gguf } }: { names: { gguf: string } }) => gguf,
  } as unknown as Model;
}

test('what a model computes by itself, and its embedding once more, are nothing to speak of', () => {
  const names = [
    ...['model.layers.0.self_attn.rotary_emb.inv_freq', 'embeddings.position_ids', 'h.0.attn.bias'],
    ...['h.0.attn.masked_bias', 'rope_freqs.weight', 'rope_short.weight', 'lm_head.weight'],
  ];
  expect(leftOver(modelWith(names))).toEqual([]);
});

test('tensors that are left out are named', () => {
  expect(leftOver(modelWith(['pooler.dense.weight']))).toEqual([
    "pooler.dense.weight is left out: this model's code does not use what is stored there",
  ]);
  expect(leftOver(modelWith(['a', 'b', 'c']))[0]).toMatch(/^a and 2 more are left out/);
});

test.each([
  'model.layers.0.self_attn.q_proj.lora_A.weight',
  'base_model.model.layers.0.mlp.up_proj.lora_B.default.weight',
  'layers.0.q_proj.lora_magnitude_vector',
])('an adapter (%s) is refused', (name) => {
  expect(() => leftOver(modelWith([name]))).toThrow(
    `tensor ${name}: is part of an adapter that is not merged into the weights; merge the adapter first`,
  );
});

test.each(['classifier.weight', 'bert.classifier.out_proj.bias', 'score.weight', 'qa_outputs.bias'])(
  'a head that would be lost (%s) is refused',
  (name) => {
    expect(() => leftOver(modelWith([name]))).toThrow('belongs to a head that is not supported');
  },
);

test('a model that is quantized already is told of', () => {
  expect(leftOver(modelWith([], 'q4_k'))).toEqual([
    'the model is quantized already (q4_k), and errors add up: from the original comes a better file',
  ]);
  for (const type of ['f32', 'f16', 'bf16', 'f64']) expect(leftOver(modelWith([], type))).toEqual([]);
});
