import * as g from '../graph/build.js';
import type { Value } from '../graph/value.js';
import { required } from '../required.js';
import type { Architecture, Batch, TensorSpec } from './architecture.js';
import { attend, softcap, splitHeads } from './attention.js';
import { exportDecoder, isExportable } from './decoder-export.js';
import { decoderMetadata } from './decoder-gguf.js';
import { activate, type Pieces, piecesOf } from './decoder-pieces.js';
import type { BlockShape, DecoderShape } from './decoder-shape.js';
import { decoderTensors } from './decoder-tensors.js';
import { expertLayer } from './experts.js';
import { rotate } from './rotary.js';

/**
 * Decoders of attention and feed-forward blocks: Llama (Touvron et al., 2023), with RMS norms, rotary positions, grouped
 * queries and a gated feed-forward layer, and what other families do in the place of one or the other. Families are its
 * shapes; blocks of one model may differ in their windows and rotary settings.
 * @param has tells which tensors the checkpoint holds: that decides on biases, norms of heads and a head of its own
 */
export function decoder(shape: DecoderShape, has: (spec: TensorSpec) => boolean): Architecture {
  const { hidden, vocabulary, blocks } = shape;
  const tensors = decoderTensors(shape, has);
  const roles = (block: number | undefined) =>
    new Map(tensors.filter((spec) => spec.block === block).map((spec) => [spec.role, spec]));
  const outside = roles(undefined);
  const inside = blocks.map((_, block) => roles(block));
  const kinds = blocks.map((block, index) => kindOf(block, [...required(inside, index).keys()]));
  const outer = piecesOf(shape, outside);
  const tied = !outside.has('output.weight');
  const headRole = tied ? 'token_embd' : 'output';

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
    embed: (tokens) => scaled(g.gather(outer.weight('token_embd.weight'), tokens), shape.embeddingScale),
    block: (index, x, batch) =>
      decoderBlock(shape, required(blocks, index), piecesOf(shape, required(inside, index)), { x, batch }),
    head(x) {
      const logits = g.linear(
        outer.norm(x, 'output_norm'),
        outer.weight(`${headRole}.weight`),
        outer.find('output.bias'),
      );
      return softcap(scaled(logits, shape.logitScale), shape.logitCap);
    },
    ...obstacle(shape),
    ggufMetadata: () => decoderMetadata(shape),
    ...(isExportable(shape) ? { exportGraph: (graph) => exportDecoder(graph, shape, headRole) } : {}),
    ggufExtras: () => ropeFactors(blocks),
  };
}

const scaled = (x: Value, factor: number | undefined): Value =>
  factor === undefined ? x : g.mul(x, g.scalar(factor));

interface Entering {
  readonly x: Value;
  readonly batch: Batch;
}

function decoderBlock(shape: DecoderShape, block: BlockShape, pieces: Pieces, { x, batch }: Entering): Value {
  const { norms = 'before', parallel, residualScale } = shape;
  const before = (y: Value, role: string) => (norms === 'behind' ? y : pieces.norm(y, role));
  const added = (y: Value, change: Value, role: string) =>
    g.add(y, scaled(norms === 'before' ? change : pieces.norm(change, role), residualScale));
  const normed = before(x, 'attn_norm');
  const attended = attention(shape, block, pieces, { x: normed, batch });
  const y = added(x, attended, 'post_attention_norm');
  const ahead = parallel === 'two norms' ? x : y;
  const z = parallel === 'shared norm' ? normed : before(ahead, 'ffn_norm');
  const change = block.experts ? expertLayer(shape, block.experts, pieces, z) : feedForward(shape, pieces, z);
  return added(y, change, 'post_ffw_norm');
}

function attention(shape: DecoderShape, block: BlockShape, pieces: Pieces, { x, batch }: Entering): Value {
  const { heads, kvHeads, wideHeadNorms, attentionScale: scale, attentionCap: cap } = shape;
  const { rotary, window } = block;
  const normed = (y: Value, role: string) =>
    pieces.find(`${role}_norm.weight`) ? pieces.norm(y, `${role}_norm`) : y;
  const { q, k, v } = projections(shape, pieces, x);
  const perHead = (y: Value, role: string, count: number) => {
    const split = splitHeads(wideHeadNorms ? normed(y, role) : y, batch, count);
    const ready = wideHeadNorms ? split : normed(split, role);
    return rotary ? rotate(ready, rotary) : ready;
  };
  const mixed = attend(
    perHead(q, 'attn_q', heads),
    perHead(k, 'attn_k', kvHeads),
    splitHeads(v, batch, kvHeads),
    {
      window,
      scale,
      cap,
    },
  );
  return pieces.linear(mixed, 'attn_output');
}

/** Queries, keys and values: tokens × (heads · headDim), and kvHeads. */
function projections(
  { heads, kvHeads, headDim, fusedAttention }: DecoderShape,
  { linear }: Pieces,
  x: Value,
) {
  if (!fusedAttention) return { q: linear(x, 'attn_q'), k: linear(x, 'attn_k'), v: linear(x, 'attn_v') };
  const all = linear(x, 'attn_qkv');
  const [queries, keys] = [heads * headDim, kvHeads * headDim];
  if (fusedAttention === 'parts') {
    const part = (from: number, size: number) => g.slice(all, 1, from, from + size);
    return { q: part(0, queries), k: part(queries, keys), v: part(queries + keys, keys) };
  }
  const [tokens = 0] = x.shape;
  const byHead = g.reshape(all, [tokens, heads, 3, headDim]);
  const part = (at: number) => g.reshape(g.slice(byHead, 2, at, at + 1), [tokens, queries]);
  return { q: part(0), k: part(1), v: part(2) };
}

function feedForward(shape: DecoderShape, { linear }: Pieces, x: Value): Value {
  const { feedForward: kind = 'gated', intermediate } = shape;
  const { activation } = shape;
  const up = linear(x, 'ffn_up');
  if (kind === 'plain') return linear(activate(up, activation), 'ffn_down');
  const [gate, inner] =
    kind === 'gated'
      ? [linear(x, 'ffn_gate'), up]
      : [g.slice(up, 1, 0, intermediate), g.slice(up, 1, intermediate, 2 * intermediate)];
  return linear(g.mul(activate(gate, activation), inner), 'ffn_down');
}

/** Blocks are of one kind if they have the same settings and tensors. */
function kindOf({ rotary, window }: BlockShape, roles: readonly string[]): string {
  const attention = window === undefined ? 'full attention' : `window ${window}`;
  const { headDim, theta, factors = [] } = rotary ?? { headDim: 0, theta: 0 };
  return [attention, headDim, theta, ...factors, ...roles].join(' ');
}

function ropeFactors(blocks: readonly BlockShape[]) {
  const { factors, long, ggufEntries } = blocks.find(({ rotary }) => rotary)?.rotary ?? {};
  const tensor = (name: string, data: Float32Array | undefined) =>
    data ? [{ name: `${name}.weight`, shape: [data.length], data }] : [];
  return long
    ? [...tensor('rope_factors_long', long.factors), ...tensor('rope_factors_short', factors)]
    : tensor('rope_freqs', ggufEntries ? undefined : factors);
}

/** Architectures of which llama.cpp reads divisors of rotary frequencies. */
const withRopeFreqs = ['llama', 'exaone4'];

function obstacle({ ggufObstacle, gguf, blocks }: DecoderShape): Pick<Architecture, 'ggufObstacle'> {
  if (ggufObstacle !== undefined) return { ggufObstacle };
  const unread = blocks.some(({ rotary }) => rotary?.factors && !rotary.ggufEntries);
  if (!unread || withRopeFreqs.includes(gguf)) return {};
  return {
    ggufObstacle: 'llama.cpp does not scale the rotary positions of this family as its config.json does',
  };
}
