import * as g from '../graph/build.js';
import { type Architecture, alike, type Batch, type TensorSpec } from './architecture.js';
import { attend, splitHeads } from './attention.js';
import type { Gpt2Shape } from './gpt2-config.js';
import { exportGpt2 } from './gpt2-export.js';
import { biasedLayers, biasedSpecs } from './specs.js';

/** @param has tells which tensors the checkpoint holds: that decides on a head of its own */
export function gpt2(shape: Gpt2Shape, has: (spec: TensorSpec) => boolean): Architecture {
  const { hidden, intermediate, heads, vocabulary, context, epsilon } = shape;

  const {
    one: spec,
    norm,
    layer,
  } = biasedSpecs(hidden, (name, block) => (block === undefined ? name : `h.${block}.${name}`), {
    transposed: true,
  });
  const head = spec('output.weight', 'lm_head.weight', 'head', [vocabulary, hidden]);
  const tied = !has(head);
  const tensors = [
    spec('token_embd.weight', 'wte.weight', 'embedding', [vocabulary, hidden]),
    spec('position_embd.weight', 'wpe.weight', 'position', [context, hidden]),
    ...Array.from({ length: shape.layers }, (_, block) => [
      ...norm('attn_norm', 'ln_1', block),
      ...layer('attn_qkv', 'attn.c_attn', 3 * hidden, hidden, block),
      ...layer('attn_output', 'attn.c_proj', hidden, hidden, block),
      ...norm('ffn_norm', 'ln_2', block),
      ...layer('ffn_up', 'mlp.c_fc', intermediate, hidden, block),
      ...layer('ffn_down', 'mlp.c_proj', hidden, intermediate, block),
    ]).flat(),
    ...norm('output_norm', 'ln_f'),
    ...(tied ? [] : [head]),
  ];

  const { weight, linear, normalise } = biasedLayers(tensors, epsilon);

  return {
    modelType: 'gpt2',
    gguf: 'gpt2',
    objective: 'prediction',
    layers: shape.layers,
    hidden,
    vocabulary,
    context,
    tied,
    tensors,

    embed(tokens, { sequences, length }: Batch) {
      const positions = g.slice(weight('position_embd.weight'), 0, 0, length);
      const x = g.reshape(g.gather(weight('token_embd.weight'), tokens), [sequences, length, hidden]);
      return g.reshape(g.add(x, positions), [sequences * length, hidden]);
    },

    kindOf: alike,

    block(_index, x, batch) {
      const qkv = linear(normalise(x, 'attn_norm'), 'attn_qkv');
      const part = (index: number) =>
        splitHeads(g.slice(qkv, 1, index * hidden, (index + 1) * hidden), batch, heads);
      const y = g.add(x, linear(attend(part(0), part(1), part(2)), 'attn_output'));
      return g.add(y, linear(g.geluTanh(linear(normalise(y, 'ffn_norm'), 'ffn_up')), 'ffn_down'));
    },

    head: (x) => g.linear(normalise(x, 'output_norm'), weight(tied ? 'token_embd.weight' : 'output.weight')),

    ggufMetadata: () => ({
      block_count: { type: 'u32', value: shape.layers },
      context_length: { type: 'u32', value: context },
      embedding_length: { type: 'u32', value: hidden },
      feed_forward_length: { type: 'u32', value: intermediate },
      'attention.head_count': { type: 'u32', value: heads },
      'attention.layer_norm_epsilon': { type: 'f32', value: epsilon },
    }),

    exportGraph: (graph) => exportGpt2(graph, shape, tied ? 'token_embd' : 'output'),

    ggufExtras: () => [],
  };
}
