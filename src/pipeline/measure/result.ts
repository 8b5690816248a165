import type { Objective } from '../../architecture/architecture.js';
import type { EmbeddingSummary, Summary } from '../../types.js';
import type { Stage } from '../context/progress.js';
import type { Parts } from '../prepare/parts.js';
import type { SearchResult, Tuning } from '../prepare/plan.js';

/** What came of a compression. */
export interface CompressResult {
  readonly output: string;
  readonly bytes: number;
  readonly originalBytes: number;
  readonly bitsPerWeight: number;
  /** What layers and embedding take of it, where every tensor has one type. */
  readonly parts?: Parts;
  /** How the types were found, where only a size was asked for. */
  readonly search?: SearchResult;
  /** How the recipe was found, where it was to be tuned. */
  readonly tuning?: Tuning;
  readonly seconds: number;
  /** Where they went; what is left over is setting up and putting away. */
  readonly stages: Readonly<Record<Stage, number>>;
  readonly peakMemoryBytes: number;
  readonly tensors: readonly CompressedTensor[];
  /** How many of them an earlier run had solved that did not reach its end. */
  readonly resumed: number;
  /** The file as its own runtime sees it, against what tersor predicts of it; absent where tersor is the runtime. */
  readonly verified?: Verification;
  /** The file against the original on text that calibration did not see. */
  readonly heldOut?: Summary;
  /** The same for an encoder. */
  readonly embeddings?: EmbeddingSummary;
  /** Parts of a stacked file, each measured like the whole. */
  readonly prefixes?: readonly Prefix[];
}

/** A part of a file from its beginning. */
export interface Prefix {
  readonly share: number;
  readonly bytes: number;
  readonly heldOut: Summary;
}

/** A tensor of the output. */
export interface CompressedTensor {
  readonly name: string;
  readonly type: string;
  readonly bytes: number;
  /**
   * ε = tr(Δ H Δᵀ) / tr(W H Wᵀ). For an embedding H is what the first block makes of its errors, together with the
   * moments of the head's inputs where the head is the same matrix; without moments, H = I. Of a layer whose bias takes
   * the means of errors, H is the moment about the mean. H is of tokens that the tensor was not fitted to, where some are
   * held out.
   */
  readonly relativeError: number;
  /** Whether rows were rounded to nearest, because what the solver found does worse on tokens that are held out. */
  readonly rounded?: true;
  /** Of an expert: tokens of the calibration text that chose it. */
  readonly routedTokens?: number;
}

/** What a runtime made of the output. */
export interface Verification {
  readonly runtime: string;
  readonly objective: Objective;
  /**
   * Mean KL divergence of the runtime's predictions from tersor's, nats per token; of an encoder, one less the mean
   * cosine of its embeddings with tersor's.
   */
  readonly meanDivergence: number;
  /** The largest difference of a log-probability; of an encoder, of an embedding's component. */
  readonly largestShift: number;
  /** What the one of the two that `bounded` names must not exceed. */
  readonly bound: number;
  readonly bounded: 'meanDivergence' | 'largestShift';
  readonly tokens: number;
}
