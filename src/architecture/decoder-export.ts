import type { DecoderShape } from './decoder-shape.js';
import {
  cachedAttention,
  type DecoderInputs,
  decoderInputs,
  type ExportGraph,
  exportActivation,
  exportLayerNorm,
  exportRmsNorm,
} from './export.js';
import { type ExportedAngles, exportedAngles, exportRotate } from './rotary.js';

/**
 * LongRoPE's frequencies follow the length of the text, which a graph with a cache cannot go back on; and there is no
 * graph of experts yet.
 */
export const isExportable = ({ blocks }: DecoderShape): boolean =>
  !blocks.some(({ rotary, experts }) => rotary?.long || experts);

/** The graph's pieces over the tensors of one block, or of those outside. */
interface Pieces {
  readonly graph: ExportGraph;
  readonly block?: number;
  weight(role: string): string | undefined;
  linear(x: string, role: string): string;
  norm(x: string, role: string): string;
}

/**
 * A decoder with its cache of keys and values, as transformers.js runs it; src/architecture/decoder.ts is the same
 * without.
 * @param headRole of the weight that makes logits, without `.weight`
 */
export function exportDecoder(graph: ExportGraph, shape: DecoderShape, headRole: string): void {
  const inputs = decoderInputs(graph);
  const anglesOf = exportedAngles(graph, inputs.positionIds);
  const outer = piecesOf(graph, shape);
  let x = scaled(graph, graph.gather('token_embd.weight', inputs.inputIds), shape.embeddingScale);
  for (const [index, block] of shape.blocks.entries()) {
    const angles = block.rotary && anglesOf(block.rotary);
    x = exportBlock(shape, piecesOf(graph, shape, index), { x, inputs, angles, window: block.window });
  }
  const logits = scaled(graph, outer.linear(outer.norm(x, 'output_norm'), headRole), shape.logitScale);
  const shown = ['batch_size', 'sequence_length', shape.vocabulary];
  graph.output('logits', softcap(graph, logits, shape.logitCap), shown, 'f32');
}

function piecesOf(graph: ExportGraph, { norm, epsilon, hidden }: DecoderShape, block?: number): Pieces {
  const weight = (role: string) => graph.weight(role, block);
  return {
    graph,
    ...(block === undefined ? {} : { block }),
    weight,
    linear: (x, role) => graph.linear(x, role, block),
    norm(x, role) {
      const gain = weight(`${role}.weight`) ?? missing(role);
      if (norm !== 'layer') return exportRmsNorm(graph, x, gain, epsilon);
      const bias = weight(`${role}.bias`) ?? graph.floats(new Float32Array(hidden), [hidden]);
      return exportLayerNorm(graph, x, gain, bias, epsilon);
    },
  };
}

interface Entering {
  readonly x: string;
  readonly inputs: DecoderInputs;
  readonly angles: ExportedAngles | undefined;
  readonly window: number | undefined;
}

function exportBlock(shape: DecoderShape, pieces: Pieces, entering: Entering): string {
  const { norms = 'before', parallel, residualScale } = shape;
  const { graph } = pieces;
  const { x } = entering;
  const before = (y: string, role: string) => (norms === 'behind' ? y : pieces.norm(y, role));
  const added = (y: string, change: string, role: string) =>
    graph.node('Add', [
      y,
      scaled(graph, norms === 'before' ? change : pieces.norm(change, role), residualScale),
    ]);
  const normed = before(x, 'attn_norm');
  const y = added(x, attention(shape, pieces, { ...entering, x: normed }), 'post_attention_norm');
  if (parallel === 'shared norm') return added(y, feedForward(shape, pieces, normed), 'post_ffw_norm');
  const z = before(parallel === 'two norms' ? x : y, 'ffn_norm');
  return added(y, feedForward(shape, pieces, z), 'post_ffw_norm');
}

function attention(shape: DecoderShape, pieces: Pieces, { x, inputs, angles, window }: Entering): string {
  const { heads, kvHeads, headDim, wideHeadNorms, attentionScale: scale, attentionCap: cap } = shape;
  const { graph, block = 0 } = pieces;
  /** Norms of queries or keys, where there are any, and rotation. */
  const position = (y: string, role: string, count: number) => {
    const normed = pieces.weight(`${role}_norm.weight`)
      ? wideHeadNorms
        ? pieces.norm(y, `${role}_norm`)
        : normOfHeads(pieces, y, `${role}_norm`, headDim)
      : y;
    return angles ? exportRotate(graph, normed, angles, { heads: count, width: headDim }) : normed;
  };
  const [q, k, v] = projections(shape, pieces, x);
  const mixed = cachedAttention(
    graph,
    inputs,
    position(q, 'attn_q', heads),
    position(k, 'attn_k', kvHeads),
    v,
    {
      block,
      heads,
      kvHeads,
      headDim,
      window,
      scale,
      cap,
    },
  );
  return pieces.linear(mixed, 'attn_output');
}

function normOfHeads({ graph, norm }: Pieces, x: string, role: string, headDim: number): string {
  const split = graph.node('Reshape', [x, graph.whole([0, 0, -1, headDim])]);
  return graph.node('Reshape', [norm(split, role), graph.whole([0, 0, -1])]);
}

function projections(
  { heads, kvHeads, headDim, fusedAttention }: DecoderShape,
  { graph, linear }: Pieces,
  x: string,
): [q: string, k: string, v: string] {
  if (!fusedAttention) return [linear(x, 'attn_q'), linear(x, 'attn_k'), linear(x, 'attn_v')];
  const all = linear(x, 'attn_qkv');
  const split = (value: string, sizes: readonly number[], axis: number) =>
    graph.nodes('Split', [value, graph.whole(sizes)], sizes.length, { attributes: { axis } });
  if (fusedAttention === 'parts') {
    const [q = '', k = '', v = ''] = split(all, [heads * headDim, kvHeads * headDim, kvHeads * headDim], -1);
    return [q, k, v];
  }
  const byHead = graph.node('Reshape', [all, graph.whole([0, 0, heads, 3 * headDim])]);
  const flat = split(byHead, [headDim, headDim, headDim], -1).map((part) =>
    graph.node('Reshape', [part, graph.whole([0, 0, -1])]),
  );
  const [q = '', k = '', v = ''] = flat;
  return [q, k, v];
}

function feedForward(shape: DecoderShape, { graph, linear }: Pieces, x: string): string {
  const { feedForward: kind = 'gated', intermediate, activation } = shape;
  const up = linear(x, 'ffn_up');
  if (kind === 'plain') return linear(exportActivation(graph, up, activation), 'ffn_down');
  const [gate = '', inner = ''] =
    kind === 'gated'
      ? [linear(x, 'ffn_gate'), up]
      : graph.nodes('Split', [up, graph.whole([intermediate, intermediate])], 2, {
          attributes: { axis: -1 },
        });
  return linear(graph.node('Mul', [exportActivation(graph, gate, activation), inner]), 'ffn_down');
}

const times = (graph: ExportGraph, x: string, factor: number): string =>
  graph.node('Mul', [x, graph.floats(Float32Array.of(factor), [1])]);

const scaled = (graph: ExportGraph, x: string, factor: number | undefined): string =>
  factor === undefined ? x : times(graph, x, factor);

const softcap = (graph: ExportGraph, x: string, cap: number | undefined): string =>
  cap === undefined ? x : times(graph, graph.node('Tanh', [times(graph, x, 1 / cap)]), cap);

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}.weight`);
}
