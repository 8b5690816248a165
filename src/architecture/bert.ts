import * as g from '../graph/build.js';
import { type Architecture, alike, type Batch } from './architecture.js';
import { attendBothWays, splitHeads } from './attention.js';
import type { BertShape } from './bert-config.js';
import { exportBert } from './bert-export.js';
import { biasedLayers, biasedSpecs } from './specs.js';

/**
 * An encoder: every token sees the whole text, and norms stand behind the sums of each block instead of in front of its
 * layers. What comes out of the last block is the output; a pooler or a head for masked words is not part of it.
 */
export function bert(shape: BertShape): Architecture {
  const { hidden, intermediate, heads, vocabulary, context, segments, epsilon } = shape;

  const {
    one: spec,
    norm,
    layer,
  } = biasedSpecs(hidden, (name, block) =>
    block === undefined ? `embeddings.${name}` : `encoder.layer.${block}.${name}`,
  );
  const tensors = [
    spec('token_embd.weight', 'word_embeddings.weight', 'embedding', [vocabulary, hidden]),
    spec('position_embd.weight', 'position_embeddings.weight', 'position', [context, hidden]),
    spec('token_types.weight', 'token_type_embeddings.weight', 'position', [segments, hidden]),
    ...norm('token_embd_norm', 'LayerNorm'),
    ...Array.from({ length: shape.layers }, (_, block) => [
      ...layer('attn_q', 'attention.self.query', hidden, hidden, block),
      ...layer('attn_k', 'attention.self.key', hidden, hidden, block),
      ...layer('attn_v', 'attention.self.value', hidden, hidden, block),
      ...layer('attn_output', 'attention.output.dense', hidden, hidden, block),
      ...norm('attn_output_norm', 'attention.output.LayerNorm', block),
      ...layer('ffn_up', 'intermediate.dense', intermediate, hidden, block),
      ...layer('ffn_down', 'output.dense', hidden, intermediate, block),
      ...norm('layer_output_norm', 'output.LayerNorm', block),
    ]).flat(),
  ];

  const { weight, linear, normalise } = biasedLayers(tensors, epsilon);
  const activation = shape.activation === 'gelu' ? g.gelu : g.geluTanh;

  return {
    modelType: 'bert',
    gguf: 'bert',
    objective: 'embedding',
    pooling: shape.pooling,
    layers: shape.layers,
    hidden,
    vocabulary,
    context,
    tied: false,
    tensors,

    embed(tokens, { sequences, length }: Batch) {
      const words = g.reshape(g.gather(weight('token_embd.weight'), tokens), [sequences, length, hidden]);
      const positions = g.slice(weight('position_embd.weight'), 0, 0, length);
      const segment = g.slice(weight('token_types.weight'), 0, 0, 1);
      const sum = g.add(words, g.add(positions, segment));
      return normalise(g.reshape(sum, [sequences * length, hidden]), 'token_embd_norm');
    },

    kindOf: alike,

    block(_index, x, batch) {
      const part = (role: string) => splitHeads(linear(x, role), batch, heads);
      const mixed = attendBothWays(part('attn_q'), part('attn_k'), part('attn_v'));
      const y = normalise(g.add(linear(mixed, 'attn_output'), x), 'attn_output_norm');
      const inner = activation(linear(y, 'ffn_up'));
      return normalise(g.add(linear(inner, 'ffn_down'), y), 'layer_output_norm');
    },

    head: (x) => x,

    exportGraph: (graph) => exportBert(graph, shape),
    ggufMetadata: () => ({}),
    ggufExtras: () => [],
  };
}
