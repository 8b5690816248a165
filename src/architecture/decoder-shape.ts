import type { ArchitectureEntry } from './architecture.js';
import type { Rotary } from './rotary.js';

/** A feed-forward layer of experts, of which a router chooses a few for each token (Shazeer et al., 2017). */
export interface Experts {
  readonly count: number;
  /** Experts of one token. */
  readonly used: number;
  /** Width of an expert's inner layer. */
  readonly intermediate: number;
  /** Whether the shares of a token's experts add up to 1, and are not those among all experts. */
  readonly normalized: boolean;
  /** One more expert that every token passes through. */
  readonly shared?: SharedExpert;
}

export interface SharedExpert {
  readonly intermediate: number;
  /** Whether its outputs are multiplied with a sigmoid of the token's inputs (Qwen 2). */
  readonly gated: boolean;
}

/** What blocks of one decoder may differ in. */
export interface BlockShape {
  /** None where positions are not seen but for the order of tokens (NoPE). */
  readonly rotary?: Rotary;
  /** Positions an attention head looks back over, its own included, when fewer than all. */
  readonly window?: number;
  /** Experts in the place of the feed-forward layer. */
  readonly experts?: Experts;
}

/** Hugging Face's names of modules, where a family does not use Llama's (`model.layers.N.self_attn.q_proj`). */
export interface ModuleNames {
  /** Outside the blocks, whole names without `.weight`. */
  readonly embedding?: string;
  readonly outputNorm?: string;
  readonly head?: string;
  /** What stands before a block's number. */
  readonly blocks?: string;
  /** Inside a block, by GGUF's role; `*` stands for the number of an expert. */
  readonly roles?: Readonly<Record<string, string>>;
}

/** A decoder of attention and feed-forward blocks, from whichever format. */
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
  /** What the gate passes through, or, without a gate, the inner layer. */
  readonly activation: 'silu' | 'geluTanh' | 'gelu';
  readonly names?: ModuleNames;

  /** Root mean square (the default), or mean and variance. */
  readonly norm?: 'rms' | 'layer';
  /** Whether norms stand in front of attention and feed-forward (the default), behind them, or both. */
  readonly norms?: 'before' | 'behind' | 'both';
  /** Attention and feed-forward take in the same states, and both are added; `shared`: behind one norm. */
  readonly parallel?: 'shared norm' | 'two norms';
  /** Norms of queries and keys run over all heads together, not over each. */
  readonly wideHeadNorms?: boolean;
  /** Hugging Face's files hold norm weights less this. */
  readonly normOffset?: number;
  /** Factor of the norm of queries, for scores that are scaled otherwise than llama.cpp scales them. */
  readonly queryFactor?: number;

  /** One weight for queries, keys and values: all of each one after another, or head by head. */
  readonly fusedAttention?: 'parts' | 'heads';
  /** Gate and inner layer (the default), both in one weight, or no gate. */
  readonly feedForward?: 'gated' | 'fused gate' | 'plain';
  /** Whether llama.cpp rotates neighbouring pairs where Hugging Face rotates halves, so that GGUF permutes rows. */
  readonly interleaved?: boolean;

  /** Factor of the token embedding's rows. */
  readonly embeddingScale?: number;
  /** Factor of the attention scores, 1 / √headDim unless given. */
  readonly attentionScale?: number;
  /** Factor of what each half of a block adds. */
  readonly residualScale?: number;
  /** Factor of the logits. */
  readonly logitScale?: number;
  /** Scores, and logits, become cap · tanh(x / cap). */
  readonly attentionCap?: number;
  readonly logitCap?: number;

  /** Entries of a GGUF that only this family has. */
  readonly ggufEntries?: Readonly<Record<string, ArchitectureEntry>>;
  /** What llama.cpp cannot compute of it. */
  readonly ggufObstacle?: string;
}
