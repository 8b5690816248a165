import { type ElementType, elementCode, type OnnxAttribute } from '../runtime/onnx.js';

export interface NodeOptions {
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>;
  /** `com.microsoft` for onnxruntime's own operators. */
  readonly domain?: string;
}

/** A dimension; a string stands for one that is known at run time. */
export type Dimension = number | string;

/**
 * What an architecture describes its ONNX graph with (`Architecture.exportGraph`). Values are names. The architecture
 * knows the operators between weights; how a weight is stored, and which operator multiplies with it as it is, is the
 * affair of whoever implements this (src/writer/onnx-graph.ts). So a family that is to be written as ONNX only has to
 * declare its inputs, build its nodes, ask for weights by their role, and declare its outputs:
 *
 *     exportGraph(graph) {
 *       const ids = graph.input('input_ids', 'i64', ['batch', 'sequence']);
 *       const x = graph.gather('token_embd.weight', ids);
 *       …
 *       graph.output('last_hidden_state', graph.linear(x, 'pooler', undefined), ['batch', 'sequence', hidden]);
 *     }
 *
 * Names of inputs and outputs are those that transformers.js expects of the family.
 */
export interface ExportGraph {
  /** Type of activations, and of the keys and values that are kept between steps. */
  readonly float: 'f32' | 'f16';
  /** Declares an input and returns its name; without a type it has that of the activations. */
  input(name: string, type: ElementType | undefined, shape: readonly Dimension[]): string;
  /** Declares an output: a value of the type of activations, cast to `type` where one is given. */
  output(name: string, value: string, shape: readonly Dimension[], type?: ElementType): void;
  /** An operator with one result. An input that is left out is the empty string. */
  node(op: string, inputs: readonly string[], options?: NodeOptions): string;
  /** An operator with several results. */
  nodes(op: string, inputs: readonly string[], results: number, options?: NodeOptions): string[];
  /** Whole numbers, as a vector or (`scalar`) a single one. */
  whole(values: readonly number[], type?: 'i64' | 'i32', scalar?: 'scalar'): string;
  /** Floats of the type of activations, unless a type is given. */
  floats(values: Float32Array, shape: readonly number[], type?: 'f32' | 'f16'): string;
  /** A vector or table as floats of the type of activations; undefined if the model has none. */
  weight(role: string, block?: number): string | undefined;
  /** x Wᵀ (+ bias) for the weights `<role>.weight` and, if there is one, `<role>.bias`; x: […, in]. */
  linear(x: string, role: string, block?: number): string;
  /** Rows of a table by index: [batch, length] → [batch, length, columns]. */
  gather(role: string, indices: string): string;
}

const microsoft = 'com.microsoft';

/** x / rms(x) · weight over the last dimension. */
export function exportRmsNorm(graph: ExportGraph, x: string, weight: string, epsilon: number): string {
  const attributes = { axis: -1, epsilon: { float: epsilon } };
  return graph.node('SimplifiedLayerNormalization', [x, weight], { attributes });
}

/** (x − mean) / std · weight + bias over the last dimension. */
export function exportLayerNorm(
  graph: ExportGraph,
  x: string,
  weight: string,
  bias: string,
  epsilon: number,
): string {
  const attributes = { axis: -1, epsilon: { float: epsilon } };
  return graph.node('LayerNormalization', [x, weight, bias], { attributes });
}

/** An activation of feed-forward layers. */
export function exportActivation(
  graph: ExportGraph,
  x: string,
  activation: 'silu' | 'gelu' | 'geluTanh',
): string {
  if (activation === 'silu') return graph.node('Mul', [x, graph.node('Sigmoid', [x])]);
  return graph.node(activation === 'gelu' ? 'Gelu' : 'FastGelu', [x], { domain: 'com.microsoft' });
}

/** The inputs that transformers.js gives every decoder, and what attention needs to know of them. */
export interface DecoderInputs {
  readonly inputIds: string;
  readonly positionIds: string;
  /** Length of past and present together, less one: once per sequence of the batch. */
  readonly last: string;
  /** Their length as a single number. */
  readonly length: string;
  /** What scores of padding get added, [batch, 1, length, total length]. */
  readonly bias: string;
}

/** Far below every score, and within the range of halves. */
const masked = -30000;

/**
 * Declares input_ids, attention_mask (of all positions, the past included) and position_ids. GroupQueryAttention by
 * itself takes padding to stand at the end; transformers.js pads at the beginning, hence the bias.
 */
export function decoderInputs(graph: ExportGraph): DecoderInputs {
  const inputIds = graph.input('input_ids', 'i64', ['batch_size', 'sequence_length']);
  const mask = graph.input('attention_mask', 'i64', ['batch_size', 'total_sequence_length']);
  const positionIds = graph.input('position_ids', 'i64', ['batch_size', 'sequence_length']);
  const cast = (value: string, type: ElementType) =>
    graph.node('Cast', [value], { attributes: { to: elementCode[type] } });
  const dimension = (shape: string, axis: number) =>
    graph.node('Slice', [shape, graph.whole([axis]), graph.whole([axis + 1])]);
  const shape = graph.node('Shape', [mask]);
  const [batch, total] = [dimension(shape, 0), dimension(shape, 1)];
  const length = dimension(graph.node('Shape', [inputIds]), 1);

  const absent = cast(graph.node('Sub', [graph.whole([1]), mask]), graph.float);
  const penalty = graph.node('Mul', [absent, graph.floats(Float32Array.of(masked), [1])]);
  const concatenate = (parts: readonly string[]) =>
    graph.node('Concat', [...parts], { attributes: { axis: 0 } });
  const one = graph.whole([1]);
  const rows = graph.node('Reshape', [penalty, concatenate([batch, one, one, total])]);
  return {
    inputIds,
    positionIds,
    last: cast(graph.node('Expand', [graph.node('Sub', [total, one]), batch]), 'i32'),
    length: cast(graph.node('Reshape', [total, graph.whole([])]), 'i32'),
    bias: graph.node('Expand', [rows, concatenate([batch, one, length, total])]),
  };
}

export interface CachedAttention {
  readonly block: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Positions further back than this are not seen. */
  readonly window?: number | undefined;
  /** Factor of the scores, 1 / √headDim unless given. */
  readonly scale?: number | undefined;
  /** Scores become cap · tanh(score / cap). */
  readonly cap?: number | undefined;
}

/**
 * Causal attention over the past and the given positions; declares past_key_values.N.key and .value and present.N.key
 * and .value, [batch, kvHeads, length, headDim].
 * @param q [batch, length, heads · headDim]; k and v [batch, length, kvHeads · headDim]
 */
export function cachedAttention(
  graph: ExportGraph,
  { last, length, bias }: DecoderInputs,
  q: string,
  k: string,
  v: string,
  { block, heads, kvHeads, headDim, window, scale = headDim ** -0.5, cap }: CachedAttention,
): string {
  const shape = (dimension: string) => ['batch_size', kvHeads, dimension, headDim];
  const past = ['key', 'value'].map((name) =>
    graph.input(`past_key_values.${block}.${name}`, undefined, shape('past_sequence_length')),
  );
  const [y = '', key = '', value = ''] = graph.nodes(
    'GroupQueryAttention',
    [q, k, v, ...past, last, length, '', '', '', bias],
    3,
    {
      domain: microsoft,
      attributes: {
        num_heads: heads,
        kv_num_heads: kvHeads,
        scale: { float: scale },
        ...(cap === undefined ? {} : { softcap: { float: cap } }),
        ...(window === undefined ? {} : { local_window_size: window }),
      },
    },
  );
  graph.output(`present.${block}.key`, key, shape('total_sequence_length'));
  graph.output(`present.${block}.value`, value, shape('total_sequence_length'));
  return y;
}
