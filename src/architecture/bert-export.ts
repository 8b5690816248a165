import { elementCode } from '../runtime/onnx.js';
import type { BertShape } from './bert-config.js';
import { type ExportGraph, exportLayerNorm } from './export.js';

/** What is added to scores of padding: softmax makes it zero, and half-precision floats hold it. */
const masked = -1e4;

/**
 * An encoder as transformers.js runs it: input_ids, attention_mask (zero where a sequence is padded) and token_type_ids,
 * all batch × length; last_hidden_state, batch × length × hidden. Attention is made of plain operators, which every
 * backend of onnxruntime has.
 */
export function exportBert(graph: ExportGraph, shape: BertShape): void {
  const { layers, hidden, heads, epsilon, activation } = shape;
  const size = ['batch_size', 'sequence_length'];
  const [ids = '', mask = '', types = ''] = ['input_ids', 'attention_mask', 'token_type_ids'].map((name) =>
    graph.input(name, 'i64', size),
  );
  const weight = (role: string, block?: number) => graph.weight(role, block) ?? missing(role);
  const norm = (x: string, role: string, block?: number) =>
    exportLayerNorm(graph, x, weight(`${role}.weight`, block), weight(`${role}.bias`, block), epsilon);
  const number = (value: number) => graph.whole([value], 'i64', 'scalar');
  const add = (a: string, b: string) => graph.node('Add', [a, b]);

  const length = graph.node('Gather', [graph.node('Shape', [ids]), number(1)], { attributes: { axis: 0 } });
  const range = graph.node('Range', [number(0), length, number(1)]);
  // Indices of every table are batch × length, as tables with codes want them.
  const positions = graph.node('Unsqueeze', [range, graph.whole([0])]);
  const words = graph.gather('token_embd.weight', ids);
  const segments = graph.gather('token_types.weight', types);
  let x = norm(add(add(words, segments), graph.gather('position_embd.weight', positions)), 'token_embd_norm');

  const toFloat = { attributes: { to: elementCode[graph.float] } };
  const padding = graph.node('Cast', [graph.node('Sub', [number(1), mask])], toFloat);
  const row = graph.node('Unsqueeze', [padding, graph.whole([1, 2])]);
  const bias = graph.node('Mul', [row, graph.floats(Float32Array.of(masked), [1])]);
  const scale = graph.floats(Float32Array.of((hidden / heads) ** -0.5), [1]);

  for (let block = 0; block < layers; block++) {
    const linear = (y: string, role: string) => graph.linear(y, role, block);
    const split = (role: string, order: readonly number[]) => {
      const perHead = graph.node('Reshape', [linear(x, role), graph.whole([0, 0, heads, hidden / heads])]);
      return graph.node('Transpose', [perHead], { attributes: { perm: order } });
    };
    const q = graph.node('Mul', [split('attn_q', [0, 2, 1, 3]), scale]);
    const scores = graph.node('MatMul', [q, split('attn_k', [0, 2, 3, 1])]);
    const weights = graph.node('Softmax', [add(scores, bias)], { attributes: { axis: -1 } });
    const mixed = graph.node('MatMul', [weights, split('attn_v', [0, 2, 1, 3])]);
    const joined = graph.node('Reshape', [
      graph.node('Transpose', [mixed], { attributes: { perm: [0, 2, 1, 3] } }),
      graph.whole([0, 0, hidden]),
    ]);
    const y = norm(add(linear(joined, 'attn_output'), x), 'attn_output_norm', block);
    const gelu = activation === 'gelu' ? 'Gelu' : 'FastGelu';
    const inner = graph.node(gelu, [linear(y, 'ffn_up')], { domain: 'com.microsoft' });
    x = norm(add(linear(inner, 'ffn_down'), y), 'layer_output_norm', block);
  }
  graph.output('last_hidden_state', x, [...size, hidden], 'f32');
}

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}`);
}
