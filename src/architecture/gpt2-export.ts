import { cachedAttention, decoderInputs, type ExportGraph, exportLayerNorm } from './export.js';
import type { Gpt2Shape } from './gpt2-config.js';

/**
 * The decoder of a GPT-2 with its cache of keys and values, as transformers.js runs it.
 * @param headRole of the weight that makes logits, without `.weight`
 */
export function exportGpt2(graph: ExportGraph, shape: Gpt2Shape, headRole: string): void {
  const { layers, hidden, heads, vocabulary, epsilon } = shape;
  const inputs = decoderInputs(graph);
  const weight = (role: string, block?: number) => graph.weight(role, block) ?? missing(role);
  const norm = (x: string, role: string, block?: number) =>
    exportLayerNorm(graph, x, weight(`${role}.weight`, block), weight(`${role}.bias`, block), epsilon);

  const tokens = graph.gather('token_embd.weight', inputs.inputIds);
  let x = graph.node('Add', [tokens, graph.gather('position_embd.weight', inputs.positionIds)]);
  for (let block = 0; block < layers; block++) {
    const linear = (y: string, role: string) => graph.linear(y, role, block);
    const qkv = linear(norm(x, 'attn_norm', block), 'attn_qkv');
    const [q = '', k = '', v = ''] = graph.nodes('Split', [qkv, graph.whole([hidden, hidden, hidden])], 3, {
      attributes: { axis: -1 },
    });
    const attention = { block, heads, kvHeads: heads, headDim: hidden / heads };
    const y = graph.node('Add', [
      x,
      linear(cachedAttention(graph, inputs, q, k, v, attention), 'attn_output'),
    ]);
    const up = linear(norm(y, 'ffn_norm', block), 'ffn_up');
    const activated = graph.node('FastGelu', [up], { domain: 'com.microsoft' });
    x = graph.node('Add', [y, linear(activated, 'ffn_down')]);
  }
  const logits = graph.linear(norm(x, 'output_norm'), headRole);
  graph.output('logits', logits, ['batch_size', 'sequence_length', vocabulary], 'f32');
}

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}`);
}
