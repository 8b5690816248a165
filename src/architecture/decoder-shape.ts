import type { ArchitectureEntry } from './architecture.js';
import type { Rotary } from './rotary.js';

/** What blocks of one decoder may differ in. */
export interface BlockShape {
  readonly rotary: Rotary;
  /** Positions an attention head looks back over, its own included, when fewer than all. */
  readonly window?: number;
}

/** A decoder of attention and gated feed-forward blocks, from whichever format. */
export interface DecoderShape {
  /** Hugging Face's `model_type`. */
  readonly modelType: string;
  /** llama.cpp's name of the architecture. */
  readonly gguf: string;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  readonly context: number;
  /** Of all norms. */
  readonly epsilon: number;
  /** One entry per block. */
  readonly blocks: readonly BlockShape[];
  /** What the gate passes through. */
  readonly activation: 'silu' | 'geluTanh';
  /** Whether llama.cpp rotates neighbouring pairs, so that GGUF permutes the rows of queries and keys. */
  readonly interleaved?: boolean;
  /** Factor of the token embedding's rows. */
  readonly embeddingScale?: number;
  /** Factor of the attention scores, 1 / √headDim unless given. */
  readonly attentionScale?: number;
  /** Norms behind attention and feed-forward as well (Gemma 2 and 3). */
  readonly postNorms?: boolean;
  /** Hugging Face's files hold norm weights less this. */
  readonly normOffset?: number;
  /** Factor of the norm of queries, for scores that are scaled otherwise than llama.cpp scales them. */
  readonly queryFactor?: number;
  /** Entries of a GGUF that only this family has. */
  readonly ggufEntries?: Readonly<Record<string, ArchitectureEntry>>;
  /** What llama.cpp cannot compute of it. */
  readonly ggufObstacle?: string;
}
