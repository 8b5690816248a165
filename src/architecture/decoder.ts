import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import { required } from '../required.js';
import type { Architecture, ArchitectureEntry, Batch, TensorSpec } from './architecture.js';
import { attend, splitHeads } from './attention.js';
import { exportDecoder } from './decoder-export.js';
import type { BlockShape, DecoderShape } from './decoder-shape.js';
import { decoderTensors } from './decoder-tensors.js';
import { rotate } from './rotary.js';

/**
 * Llama's kind of decoder (Touvron et al., 2023): RMS norms, rotary positions, grouped queries, a gated feed-forward
 * layer. Families are its shapes; blocks of one model may differ in their windows and rotary settings.
 * @param has tells which tensors the checkpoint holds: that decides on biases, norms of heads and a head of its own
 */
export function decoder(shape: DecoderShape, has: (spec: TensorSpec) => boolean): Architecture {
  const { hidden, heads, kvHeads, vocabulary, epsilon, blocks } = shape;
  const tensors = decoderTensors(shape, has);
  const roles = (block: number | undefined) =>
    new Map(tensors.filter((spec) => spec.block === block).map((spec) => [spec.role, spec]));
  const outside = roles(undefined);
  const inside = blocks.map((_, block) => roles(block));
  const kinds = blocks.map((block, index) => kindOf(block, [...required(inside, index).keys()]));

  /** The inputs of the graph that stand for a block's tensors, or for those outside. */
  const pieces = (specs: ReadonlyMap<string, TensorSpec>) => {
    const find = (role: string): Value | undefined => {
      const spec = specs.get(role);
      return spec && g.input(role, spec.shape);
    };
    const weight = (role: string): Value => find(role) ?? missing(role);
    return {
      find,
      weight,
      linear: (x: Value, role: string) => g.linear(x, weight(`${role}.weight`), find(`${role}.bias`)),
      norm: (x: Value, role: string) => g.rmsNorm(x, weight(`${role}.weight`), epsilon),
    };
  };
  const { weight, norm: outerNorm } = pieces(outside);
  const tied = !outside.has('output.weight');
  const activation = shape.activation === 'silu' ? g.silu : g.geluTanh;

  return {
    modelType: shape.modelType,
    gguf: shape.gguf,
    objective: 'prediction',
    layers: blocks.length,
    hidden,
    vocabulary,
    context: shape.context,
    tied,
    tensors,
    kindOf: (block) => required(kinds, block),

    embed(tokens) {
      const rows = g.gather(weight('token_embd.weight'), tokens);
      return shape.embeddingScale === undefined ? rows : g.mul(rows, g.scalar(shape.embeddingScale));
    },

    block(index: number, x: Value, batch: Batch) {
      const { rotary, window } = required(blocks, index);
      const { find, linear, norm } = pieces(required(inside, index));
      const position = (y: Value, role: string) => {
        const headNorm = find(`${role}_norm.weight`);
        return rotate(headNorm ? g.rmsNorm(y, headNorm, epsilon) : y, rotary);
      };
      const added = (y: Value, change: Value, role: string) =>
        g.add(y, shape.postNorms ? norm(change, role) : change);
      const normed = norm(x, 'attn_norm');
      const q = position(splitHeads(linear(normed, 'attn_q'), batch, heads), 'attn_q');
      const k = position(splitHeads(linear(normed, 'attn_k'), batch, kvHeads), 'attn_k');
      const v = splitHeads(linear(normed, 'attn_v'), batch, kvHeads);
      const mixed = attend(q, k, v, { window, scale: shape.attentionScale });
      const y = added(x, linear(mixed, 'attn_output'), 'post_attention_norm');
      const z = norm(y, 'ffn_norm');
      const gated = g.mul(activation(linear(z, 'ffn_gate')), linear(z, 'ffn_up'));
      return added(y, linear(gated, 'ffn_down'), 'post_ffw_norm');
    },

    head: (x) => g.linear(outerNorm(x, 'output_norm'), weight(tied ? 'token_embd.weight' : 'output.weight')),

    ...(shape.ggufObstacle === undefined ? {} : { ggufObstacle: shape.ggufObstacle }),
    ggufMetadata: () => metadata(shape),
    exportGraph: (graph) => exportDecoder(graph, shape, tied ? 'token_embd' : 'output'),
    ggufExtras() {
      const factors = blocks[0]?.rotary.factors;
      return factors ? [{ name: 'rope_freqs.weight', shape: [factors.length], data: factors }] : [];
    },
  };
}

/** Blocks are of one kind if they have the same settings and tensors. */
function kindOf({ rotary, window }: BlockShape, roles: readonly string[]): string {
  const attention = window === undefined ? 'full attention' : `window ${window}`;
  const { headDim, theta, factors = [] } = rotary;
  return [attention, headDim, theta, ...factors, ...roles].join(' ');
}

function metadata(shape: DecoderShape): Record<string, ArchitectureEntry> {
  const { hidden, heads, headDim, blocks } = shape;
  const whole = (value: number): ArchitectureEntry => ({ type: 'u32', value });
  const real = (value: number): ArchitectureEntry => ({ type: 'f32', value });
  return {
    block_count: whole(blocks.length),
    context_length: whole(shape.context),
    embedding_length: whole(hidden),
    feed_forward_length: whole(shape.intermediate),
    'attention.head_count': whole(heads),
    'attention.head_count_kv': whole(shape.kvHeads),
    'attention.layer_norm_rms_epsilon': real(shape.epsilon),
    ...(headDim * heads === hidden
      ? {}
      : { 'attention.key_length': whole(headDim), 'attention.value_length': whole(headDim) }),
    'rope.freq_base': real(blocks[0]?.rotary.theta ?? 10000),
    'rope.dimension_count': whole(headDim),
    ...shape.ggufEntries,
  };
}

function missing(role: string): never {
  throw new Error(`the architecture has no tensor ${role}`);
}
