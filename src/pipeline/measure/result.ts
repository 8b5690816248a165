import type { EmbeddingSummary, Summary } from '../../types.js';
import type { Stage } from '../context/progress.js';
import type { SearchResult, Tuning } from '../prepare/plan.js';
import type { CompressedTensor } from '../solve/run.js';
import type { Verification } from './verify.js';

/** What came of a compression. */
export interface CompressResult {
  readonly output: string;
  readonly bytes: number;
  readonly originalBytes: number;
  readonly bitsPerWeight: number;
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
