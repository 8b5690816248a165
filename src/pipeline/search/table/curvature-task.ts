import type { TensorSpec } from '../../../architecture/architecture.js';
import type { Model } from '../../../architecture/model.js';
import type { Arithmetic } from '../../../graph/arithmetic.js';
import type { LevelCurvature, TensorCurvature } from '../../../sensitivity/measure.js';
import { spread } from '../../../text/corpus.js';
import type { Context } from '../../context/context.js';
import type { Hooks } from '../../context/hooks.js';
import type { Store } from '../../context/store.js';
import type { TensorLevels } from './request.js';

/** What second-order measures know of a tensor and of its levels, in their order. */
export interface CurvatureEstimates {
  readonly tensor?: TensorCurvature;
  readonly levels?: readonly LevelCurvature[];
}

/** What gradients and second derivatives are found with. */
export interface Task {
  readonly context: Context;
  readonly store: Store;
  readonly model: Model;
  /** Those with a choice of levels. */
  readonly tensors: ReadonlyMap<TensorSpec, TensorLevels>;
  readonly arithmetic: Arithmetic;
  /** Of what is asked for, in the store. */
  readonly key: string;
  readonly hooks: Hooks;
}

/** Of a text so many tokens. */
export type Texts = (tokens: number) => Int32Array[];

/** Length of the pieces that texts of language models are cut into: each is one more gradient to average over. */
const pieceTokens = 128;

/** About so many tokens from all over the text, of a language model in pieces of one length. */
export const textFor =
  ({ architecture }: Model, calibration: readonly Int32Array[]): Texts =>
  (tokens) => {
    const pieces =
      architecture.objective === 'embedding'
        ? calibration
        : calibration.map((sequence) => sequence.subarray(0, pieceTokens));
    return spread(pieces, tokens);
  };
