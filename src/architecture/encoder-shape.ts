import type { Pooling } from '../checkpoint/pooling.js';
import type { Rotary } from './rotary.js';

/** What the graph of an encoder needs to know: a stack of blocks, in each of which every token sees the whole text. */
export interface EncoderShape {
  /** Hugging Face's `model_type`. */
  readonly modelType: string;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Tokens of the longest text. */
  readonly context: number;
  readonly epsilon: number;
  readonly activation: 'gelu' | 'geluTanh' | 'silu';
  readonly pooling: Pooling;
  readonly blocks: readonly EncoderBlockShape[];
  /** Columns of the embedding where a linear layer behind it makes `hidden` of them (ELECTRA). */
  readonly embeddingWidth?: number;
  /** Learned positions: rows of their table, and which of them belongs to a text's first token. */
  readonly positions?: { readonly rows: number; readonly first: number };
  /** Kinds of segments; texts consist of the first. Absent: there is no table of them. */
  readonly segments?: number;
  /** What is added to the scores of all blocks by the distance of two tokens. */
  readonly relative?: RelativeBias;
  /**
   * Where the norms of a block stand: behind its sums, or in front of its layers. Those in front of the layers have one
   * more behind the last block, and none in front of the first, where that of the embedding stands.
   */
  readonly norms: 'behind' | 'before';
  /** Queries, keys and values are the rows of one weight, one part after another. */
  readonly fusedAttention?: boolean;
  /**
   * Plain: down(act(up)). Gated: down(act(gate) · up). Fused: the rows of `up` are those of the gate, and then its own.
   */
  readonly feedForward: 'plain' | 'gated' | 'fused';
  readonly biases: { readonly norm: boolean; readonly attention: boolean; readonly feedForward: boolean };
  readonly names: EncoderNames;
}

export interface EncoderBlockShape {
  readonly rotary?: Rotary;
  /** Tokens further away than this, before or behind, are not seen. */
  readonly window?: number;
}

/** Biases of scores by distance (Raffel et al., 2019, section 2.1), shared by all blocks. */
export interface RelativeBias {
  /** Rows of `table`: half for tokens in front, half for those behind. */
  readonly buckets: number;
  /** From this distance on, all share the last bucket of their side. */
  readonly farthest: number;
  /** buckets × heads. */
  readonly table: Float32Array;
}

/** Hugging Face's names of an encoder's modules, by role. */
export interface EncoderNames {
  readonly outside: Readonly<Record<string, string>>;
  /** Module of a block. */
  readonly block: (block: number) => string;
  /** Below the module of a block. */
  readonly inside: Readonly<Record<string, string>>;
}

/**
 * Bucket of a distance, key less query: near ones have buckets of their own, further ones share them by their logarithm.
 * Single precision, as Hugging Face's code computes it: boundaries fall where they do there.
 */
export function relativeBucket(
  distance: number,
  { buckets, farthest }: Pick<RelativeBias, 'buckets' | 'farthest'>,
): number {
  const side = buckets / 2;
  const near = Math.floor(side / 2);
  const away = Math.abs(distance);
  const first = distance > 0 ? side : 0;
  if (away < near) return first + away;
  const { fround, log } = Math;
  const share = fround(fround(log(fround(away / near))) / fround(log(farthest / near)));
  return first + Math.min(side - 1, near + Math.floor(fround(share * (side - near))));
}
