import type { BlockShape, DecoderShape } from './decoder-shape.js';
import { cachedAttention, decoderInputs, type ExportGraph, exportRmsNorm } from './export.js';
import { type ExportedAngles, exportAngles, exportRotate } from './rotary.js';

/**
 * A decoder with its cache of keys and values, as transformers.js runs it.
 * @param headRole of the weight that makes logits, without `.weight`
 */
export function exportDecoder(graph: ExportGraph, shape: DecoderShape, headRole: string): void {
  const { heads, kvHeads, headDim, vocabulary, epsilon, blocks, postNorms, embeddingScale } = shape;
  const inputs = decoderInputs(graph);
  const anglesOf = angles(graph, inputs.positionIds);
  const norm = (x: string, role: string, block?: number) =>
    exportRmsNorm(graph, x, graph.weight(`${role}.weight`, block) ?? missing(role), epsilon);

  let x = graph.gather('token_embd.weight', inputs.inputIds);
  if (embeddingScale !== undefined)
    x = graph.node('Mul', [x, graph.floats(Float32Array.of(embeddingScale), [1])]);
  for (const [block, { rotary, window }] of blocks.entries()) {
    const angles = anglesOf(rotary);
    const linear = (y: string, role: string) => graph.linear(y, role, block);
    const added = (y: string, change: string, role: string) =>
      graph.node('Add', [y, postNorms ? norm(change, role, block) : change]);
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
    const attention = { block, heads, kvHeads, headDim, window, scale: shape.attentionScale };
    const mixed = cachedAttention(graph, inputs, q, k, v, attention);
    const y = added(x, linear(mixed, 'attn_output'), 'post_attention_norm');
    const z = norm(y, 'ffn_norm', block);
    const activated = activate(graph, linear(z, 'ffn_gate'), shape.activation);
    const product = graph.node('Mul', [activated, linear(z, 'ffn_up')]);
    x = added(y, linear(product, 'ffn_down'), 'post_ffw_norm');
  }
  const logits = graph.linear(norm(x, 'output_norm'), headRole);
  graph.output('logits', logits, ['batch_size', 'sequence_length', vocabulary], 'f32');
}

/** One table per rotary setting. */
function angles(graph: ExportGraph, positions: string): (rotary: BlockShape['rotary']) => ExportedAngles {
  const known = new Map<BlockShape['rotary'], ExportedAngles>();
  return (rotary) => {
    const found = known.get(rotary) ?? exportAngles(graph, positions, rotary);
    known.set(rotary, found);
    return found;
  };
}

const activate = (graph: ExportGraph, x: string, activation: DecoderShape['activation']): string =>
  activation === 'silu'
    ? graph.node('Mul', [x, graph.node('Sigmoid', [x])])
    : graph.node('FastGelu', [x], { domain: 'com.microsoft' });

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}.weight`);
}
