import { elementCode } from '../runtime/onnx.js';
import { type EncoderShape, type RelativeBias, relativeBucket } from './encoder-shape.js';
import { type ExportGraph, exportActivation, exportLayerNorm } from './export.js';
import { type ExportedAngles, exportedAngles, exportRotate } from './rotary.js';

/** What is added to scores of padding: softmax makes it zero, and half-precision floats hold it. */
const masked = -1e4;

/**
 * An encoder as transformers.js runs it: input_ids, attention_mask (zero where a sequence is padded) and, where there are
 * several kinds of segments, token_type_ids, all batch × length; last_hidden_state, batch × length × hidden. Attention is
 * made of plain operators, which every backend of onnxruntime has.
 */
export function exportEncoder(graph: ExportGraph, shape: EncoderShape): void {
  const { hidden, heads, blocks } = shape;
  const size = ['batch_size', 'sequence_length'];
  const ids = graph.input('input_ids', 'i64', size);
  const mask = graph.input('attention_mask', 'i64', size);
  const segments = (shape.segments ?? 0) > 1 ? graph.input('token_type_ids', 'i64', size) : undefined;
  const places = placesOf(graph, ids);
  let x = embedding(graph, shape, { ids, mask, segments, places });

  const scores = { padding: paddingBias(graph, mask), places };
  const biasOf = biasByWindow(graph, shape, scores);
  const anglesOf = exportedAngles(
    graph,
    graph.node('Expand', [places.positions, graph.node('Shape', [ids])]),
  );
  const scale = graph.floats(Float32Array.of((hidden / heads) ** -0.5), [1]);
  for (const [index, { rotary, window }] of blocks.entries()) {
    const about = { scale, bias: biasOf(window), angles: rotary && anglesOf(rotary) };
    x = exportBlock(piecesOf(graph, shape, index), shape, x, about);
  }
  graph.output('last_hidden_state', x, [...size, hidden], 'f32');
}

/** Places of a batch's tokens in their texts. */
interface Places {
  /** 0 … length − 1. */
  readonly range: string;
  /** The same as 1 × length, as tables with codes want their indices. */
  readonly positions: string;
}

function placesOf(graph: ExportGraph, ids: string): Places {
  const number = (value: number) => graph.whole([value], 'i64', 'scalar');
  const length = graph.node('Gather', [graph.node('Shape', [ids]), number(1)], { attributes: { axis: 0 } });
  const range = graph.node('Range', [number(0), length, number(1)]);
  return { range, positions: graph.node('Unsqueeze', [range, graph.whole([0])]) };
}

interface Tokens {
  readonly ids: string;
  readonly mask: string;
  readonly segments: string | undefined;
  readonly places: Places;
}

function embedding(graph: ExportGraph, shape: EncoderShape, { ids, mask, segments, places }: Tokens): string {
  const { positions } = shape;
  const number = (value: number) => graph.whole([value], 'i64', 'scalar');
  const add = (a: string, b: string) => graph.node('Add', [a, b]);
  let sum = graph.gather('token_embd.weight', ids);
  if (shape.segments) {
    const first = () => graph.node('Mul', [places.positions, number(0)]);
    sum = add(sum, graph.gather('token_types.weight', segments ?? first()));
  }
  if (positions) {
    // Where the first rows of the table belong to padding, tokens are counted without it.
    const counted = () => {
      const count = graph.node('CumSum', [mask, number(1)]);
      return add(graph.node('Mul', [count, mask]), number(positions.first - 1));
    };
    const rows = positions.first === 0 ? places.positions : counted();
    sum = add(sum, graph.gather('position_embd.weight', rows));
  }
  const pieces = piecesOf(graph, shape);
  const normed = pieces.norm(sum, 'token_embd_norm');
  return shape.embeddingWidth === undefined ? normed : pieces.linear(normed, 'embd_projection');
}

/** The graph's pieces over the tensors of one block, or of those outside. */
interface Pieces {
  readonly graph: ExportGraph;
  linear(x: string, role: string): string;
  norm(x: string, role: string): string;
  /** The same, or x where the block has no such norm. */
  normIfAny(x: string, role: string): string;
}

function piecesOf(graph: ExportGraph, { epsilon, hidden }: EncoderShape, block?: number): Pieces {
  const norm = (x: string, role: string, gain: string) => {
    const bias = graph.weight(`${role}.bias`, block) ?? graph.floats(new Float32Array(hidden), [hidden]);
    return exportLayerNorm(graph, x, gain, bias, epsilon);
  };
  return {
    graph,
    linear: (x, role) => graph.linear(x, role, block),
    norm: (x, role) => norm(x, role, graph.weight(`${role}.weight`, block) ?? missing(role)),
    normIfAny(x, role) {
      const gain = graph.weight(`${role}.weight`, block);
      return gain === undefined ? x : norm(x, role, gain);
    },
  };
}

interface AboutBlock {
  readonly scale: string;
  readonly bias: string;
  readonly angles: ExportedAngles | undefined;
}

function exportBlock(pieces: Pieces, shape: EncoderShape, x: string, about: AboutBlock): string {
  const { graph } = pieces;
  const add = (a: string, b: string) => graph.node('Add', [a, b]);
  const attended = attention(pieces, shape, pieces.normIfAny(x, 'attn_norm'), about);
  if (shape.norms === 'behind') {
    const y = pieces.norm(add(attended, x), 'attn_output_norm');
    return pieces.norm(add(feedForward(pieces, shape, y), y), 'layer_output_norm');
  }
  const y = add(x, attended);
  const z = add(y, feedForward(pieces, shape, pieces.norm(y, 'ffn_norm')));
  return pieces.normIfAny(z, 'output_norm');
}

function attention(
  { graph, linear }: Pieces,
  { hidden, heads, fusedAttention }: EncoderShape,
  x: string,
  { scale, bias, angles }: AboutBlock,
): string {
  const width = hidden / heads;
  const all = fusedAttention ? linear(x, 'attn_qkv') : undefined;
  const columns = (at: number, role: string) =>
    all ? lastAxis(graph, all, at * hidden, (at + 1) * hidden) : linear(x, role);
  const turned = (y: string) => (angles ? exportRotate(graph, y, angles, { heads, width }) : y);
  const split = (y: string, order: readonly number[]) => {
    const perHead = graph.node('Reshape', [y, graph.whole([0, 0, heads, width])]);
    return graph.node('Transpose', [perHead], { attributes: { perm: order } });
  };
  const q = graph.node('Mul', [split(turned(columns(0, 'attn_q')), [0, 2, 1, 3]), scale]);
  const scores = graph.node('MatMul', [q, split(turned(columns(1, 'attn_k')), [0, 2, 3, 1])]);
  const biased = graph.node('Add', [scores, bias]);
  const weights = graph.node('Softmax', [biased], { attributes: { axis: -1 } });
  const mixed = graph.node('MatMul', [weights, split(columns(2, 'attn_v'), [0, 2, 1, 3])]);
  const joined = graph.node('Transpose', [mixed], { attributes: { perm: [0, 2, 1, 3] } });
  return linear(graph.node('Reshape', [joined, graph.whole([0, 0, hidden])]), 'attn_output');
}

function feedForward({ graph, linear }: Pieces, shape: EncoderShape, x: string): string {
  const { feedForward: kind, activation, intermediate } = shape;
  const act = (y: string) => exportActivation(graph, y, activation);
  const up = linear(x, 'ffn_up');
  const half = (at: number) => lastAxis(graph, up, at * intermediate, (at + 1) * intermediate);
  const inner = {
    plain: () => act(up),
    gated: () => graph.node('Mul', [act(linear(x, 'ffn_gate')), up]),
    fused: () => graph.node('Mul', [act(half(0)), half(1)]),
  }[kind]();
  return linear(inner, 'ffn_down');
}

const lastAxis = (graph: ExportGraph, x: string, from: number, to: number): string =>
  graph.node('Slice', [x, graph.whole([from]), graph.whole([to]), graph.whole([-1])]);

const toFloat = (graph: ExportGraph, x: string): string =>
  graph.node('Cast', [x], { attributes: { to: elementCode[graph.float] } });

/** What scores of padding get added, batch × 1 × 1 × length. */
function paddingBias(graph: ExportGraph, mask: string): string {
  const padding = toFloat(graph, graph.node('Sub', [graph.whole([1], 'i64', 'scalar'), mask]));
  const row = graph.node('Unsqueeze', [padding, graph.whole([1, 2])]);
  return graph.node('Mul', [row, graph.floats(Float32Array.of(masked), [1])]);
}

interface Scores {
  readonly padding: string;
  readonly places: Places;
}

/** What the scores of blocks with a window get added, once for each window: padding, distances, and what lies outside. */
function biasByWindow(graph: ExportGraph, { relative, context }: EncoderShape, { padding, places }: Scores) {
  const known = new Map<number | undefined, string>();
  /** Key less query, length × length. */
  const distances = (): string => {
    const [row, column] = [0, 1].map((axis) => graph.node('Unsqueeze', [places.range, graph.whole([axis])]));
    return graph.node('Sub', [row ?? '', column ?? '']);
  };
  const shared = relative
    ? graph.node('Add', [padding, relativeBias(graph, relative, context, distances())])
    : padding;
  return (window: number | undefined): string => {
    const found = known.get(window);
    if (found !== undefined) return found;
    const bias =
      window === undefined ? shared : graph.node('Add', [shared, beyond(graph, distances(), window)]);
    known.set(window, bias);
    return bias;
  };
}

/** What scores of tokens outside a window get added, length × length. */
function beyond(graph: ExportGraph, distances: string, window: number): string {
  const away = graph.node('Abs', [distances]);
  const outside = toFloat(graph, graph.node('Greater', [away, graph.whole([window], 'i64', 'scalar')]));
  return graph.node('Mul', [outside, graph.floats(Float32Array.of(masked), [1])]);
}

/** 1 × heads × length × length. */
function relativeBias(
  graph: ExportGraph,
  relative: RelativeBias,
  context: number,
  distances: string,
): string {
  const bucketOf = Array.from({ length: 2 * context - 1 }, (_, at) =>
    relativeBucket(at - (context - 1), relative),
  );
  const rows = graph.node('Add', [distances, graph.whole([context - 1], 'i64', 'scalar')]);
  const buckets = graph.node('Gather', [graph.whole(bucketOf), rows], { attributes: { axis: 0 } });
  const perPair = graph.gather('relative_bias.weight', buckets);
  const perHead = graph.node('Transpose', [perPair], { attributes: { perm: [2, 0, 1] } });
  return graph.node('Unsqueeze', [perHead, graph.whole([0])]);
}

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}`);
}
