import { cachedAttention, decoderInputs, type ExportGraph, exportRmsNorm } from './export.js';
import type { LlamaShape } from './llama-config.js';
import { exportAngles, exportRotate } from './rotary.js';

/**
 * The decoder of a Llama with its cache of keys and values, as transformers.js runs it.
 * @param headRole of the weight that makes logits, without `.weight`
 */
export function exportLlama(graph: ExportGraph, shape: LlamaShape, headRole: string): void {
  const { layers, heads, kvHeads, vocabulary, epsilon, rotary, window } = shape;
  const { headDim } = rotary;
  const inputs = decoderInputs(graph);
  const angles = exportAngles(graph, inputs.positionIds, rotary);
  const norm = (x: string, role: string, block?: number) =>
    exportRmsNorm(graph, x, graph.weight(`${role}.weight`, block) ?? missing(role), epsilon);

  let x = graph.gather('token_embd.weight', inputs.inputIds);
  for (let block = 0; block < layers; block++) {
    const linear = (y: string, role: string) => graph.linear(y, role, block);
    /** Norms of single heads, where there are any, and rotation. */
    const position = (y: string, role: string) => {
      const weight = graph.weight(`${role}_norm.weight`, block);
      if (!weight) return exportRotate(graph, y, angles);
      const split = graph.node('Reshape', [y, graph.whole([0, 0, -1, headDim])]);
      const normed = exportRmsNorm(graph, split, weight, epsilon);
      return exportRotate(graph, graph.node('Reshape', [normed, graph.whole([0, 0, -1])]), angles);
    };
    const normed = norm(x, 'attn_norm', block);
    const q = position(linear(normed, 'attn_q'), 'attn_q');
    const k = position(linear(normed, 'attn_k'), 'attn_k');
    const v = linear(normed, 'attn_v');
    const attention = { block, heads, kvHeads, headDim, ...(window ? { window } : {}) };
    const mixed = cachedAttention(graph, inputs, q, k, v, attention);
    const y = graph.node('Add', [x, linear(mixed, 'attn_output')]);
    const z = norm(y, 'ffn_norm', block);
    const gate = linear(z, 'ffn_gate');
    const activated = graph.node('Mul', [gate, graph.node('Sigmoid', [gate])]);
    const product = graph.node('Mul', [activated, linear(z, 'ffn_up')]);
    x = graph.node('Add', [y, linear(product, 'ffn_down')]);
  }
  const logits = graph.linear(norm(x, 'output_norm'), headRole);
  graph.output('logits', logits, ['batch_size', 'sequence_length', vocabulary], 'f32');
}

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}.weight`);
}
