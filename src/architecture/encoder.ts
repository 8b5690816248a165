import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import { required } from '../required.js';
import type { Architecture, Batch, TensorSpec } from './architecture.js';
import { attendBothWays, splitHeads } from './attention.js';
import { exportEncoder } from './encoder-export.js';
import { type EncoderShape, type RelativeBias, relativeBucket } from './encoder-shape.js';
import { encoderTensors } from './encoder-tensors.js';
import { rotate } from './rotary.js';

/**
 * Encoders in BERT's manner (Devlin et al., 2018): every token sees the whole text, and what comes out of the last block
 * is the output; a pooler or a head for masked words is not part of it. Families are its shapes.
 */
export function encoder(shape: EncoderShape): Architecture {
  const { blocks, hidden, segments, positions, embeddingWidth, relative } = shape;
  const tensors = encoderTensors(shape);
  const roles = (block: number | undefined) =>
    new Map(tensors.filter((spec) => spec.block === block).map((spec) => [spec.role, spec]));
  const outer = piecesOf(shape, roles(undefined));
  const inside = blocks.map((_, block) => roles(block));

  return {
    modelType: shape.modelType,
    gguf: shape.modelType,
    objective: 'embedding',
    pooling: shape.pooling,
    layers: blocks.length,
    hidden,
    vocabulary: shape.vocabulary,
    context: shape.context,
    tied: false,
    tensors,

    embed(tokens, { sequences, length }) {
      const width = embeddingWidth ?? hidden;
      const rowsOf = (role: string, from: number, count: number) =>
        g.slice(outer.weight(role), 0, from, from + count);
      const words = g.gather(outer.weight('token_embd.weight'), tokens);
      const added = [
        ...(positions ? [rowsOf('position_embd.weight', positions.first, length)] : []),
        ...(segments ? [rowsOf('token_types.weight', 0, 1)] : []),
      ];
      // Positions and segments are added to each other first, as they have always been.
      const [first, ...others] = added;
      const sum = first
        ? g.add(g.reshape(words, [sequences, length, width]), others.reduce(g.add, first))
        : words;
      const normed = outer.norm(g.reshape(sum, [sequences * length, width]), 'token_embd_norm');
      return embeddingWidth === undefined ? normed : outer.linear(normed, 'embd_projection');
    },

    kindOf(index) {
      const { rotary, window } = required(blocks, index);
      return [rotary?.theta, rotary?.headDim, window, ...required(inside, index).keys()].join(' ');
    },

    block(index, x, batch) {
      const pieces = piecesOf(shape, required(inside, index));
      const before = shape.norms === 'before';
      const attended = attention(shape, index, pieces, { x: pieces.normIfAny(x, 'attn_norm'), batch });
      if (!before) {
        const y = pieces.norm(g.add(attended, x), 'attn_output_norm');
        return pieces.norm(g.add(feedForward(shape, pieces, y), y), 'layer_output_norm');
      }
      const y = g.add(x, attended);
      const z = g.add(y, feedForward(shape, pieces, pieces.norm(y, 'ffn_norm')));
      return pieces.normIfAny(z, 'output_norm');
    },

    head: (x) => x,

    exportGraph: (graph) => exportEncoder(graph, shape),
    ggufMetadata: () => ({}),
    ggufExtras: () => [],
  };

  function attention(
    { heads, fusedAttention }: EncoderShape,
    index: number,
    pieces: Pieces,
    { x, batch }: { readonly x: Value; readonly batch: Batch },
  ): Value {
    const { rotary, window } = required(blocks, index);
    const all = fusedAttention ? pieces.linear(x, 'attn_qkv') : undefined;
    const part = (at: number, role: string) =>
      splitHeads(
        all ? g.slice(all, 1, at * hidden, (at + 1) * hidden) : pieces.linear(x, role),
        batch,
        heads,
      );
    const turned = (y: Value) => (rotary ? rotate(y, rotary) : y);
    const mixed = attendBothWays(turned(part(0, 'attn_q')), turned(part(1, 'attn_k')), part(2, 'attn_v'), {
      window,
      bias: relative && distanceBias(relative, heads, batch.length),
    });
    return pieces.linear(mixed, 'attn_output');
  }
}

/** The graph's pieces over the tensors of one block, or of those outside. */
interface Pieces {
  weight(role: string): Value;
  linear(x: Value, role: string): Value;
  norm(x: Value, role: string): Value;
  normIfAny(x: Value, role: string): Value;
}

function piecesOf({ epsilon }: EncoderShape, specs: ReadonlyMap<string, TensorSpec>): Pieces {
  const find = (role: string) => {
    const spec = specs.get(role);
    return spec && g.input(role, spec.shape);
  };
  const weight = (role: string) => g.input(role, required(specs, role).shape);
  const norm = (x: Value, role: string) => {
    const gain = weight(`${role}.weight`);
    const bias = find(`${role}.bias`) ?? g.constant(new Float32Array(gain.shape[0] ?? 0));
    return g.layerNorm(x, gain, bias, epsilon);
  };
  return {
    weight,
    linear: (x, role) => g.linear(x, weight(`${role}.weight`), find(`${role}.bias`)),
    norm,
    normIfAny: (x, role) => (specs.has(`${role}.weight`) ? norm(x, role) : x),
  };
}

function feedForward(
  { feedForward: kind, activation, intermediate }: EncoderShape,
  pieces: Pieces,
  x: Value,
) {
  const act = { gelu: g.gelu, geluTanh: g.geluTanh, silu: g.silu }[activation];
  const up = pieces.linear(x, 'ffn_up');
  const half = (at: number) => g.slice(up, 1, at * intermediate, (at + 1) * intermediate);
  const inner = {
    plain: () => act(up),
    gated: () => g.mul(act(pieces.linear(x, 'ffn_gate')), up),
    fused: () => g.mul(act(half(0)), half(1)),
  }[kind]();
  return pieces.linear(inner, 'ffn_down');
}

/** heads × length × length. */
function distanceBias(relative: RelativeBias, heads: number, length: number): Value {
  const bias = new Float32Array(heads * length * length);
  for (let query = 0; query < length; query++)
    for (let key = 0; key < length; key++) {
      const bucket = relativeBucket(key - query, relative);
      for (let head = 0; head < heads; head++)
        bias[(head * length + query) * length + key] = relative.table[bucket * heads + head] ?? Number.NaN;
    }
  return g.constant(bias, [heads, length, length]);
}
