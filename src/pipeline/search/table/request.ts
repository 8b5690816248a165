import type { TensorSpec } from '../../../architecture/architecture.js';
import type { Model } from '../../../architecture/model.js';
import type { DivergenceEvaluator } from '../../../evaluation/divergence-evaluator.js';
import type { Grid } from '../../../grid/grid.js';
import type { TensorFacts } from '../../../sensitivity/measure.js';
import type { TensorRecipe } from '../../solve/tensor.js';
import type { SolvedLevel } from './entries.js';

/** A tensor, named as the output calls it, with all its levels in the order of the candidates. */
export interface TensorLevels extends TensorFacts {
  readonly spec: TensorSpec;
  readonly levels: readonly SolvedLevel[];
}

export interface LevelRequest {
  readonly model: Model;
  /** What is to be tried for each tensor; a single candidate is taken as it is. */
  readonly candidates: readonly {
    readonly name: string;
    readonly spec: TensorSpec;
    readonly grids: readonly Grid[];
  }[];
  readonly recipe: TensorRecipe;
  /** Text for moments. */
  readonly calibration: readonly Int32Array[];
  readonly evaluator: DivergenceEvaluator;
  /** Levels of one tensor whose divergence is measured, of the candidates that are not plain numbers. */
  readonly probed: (grids: readonly Grid[], spec: TensorSpec) => readonly Grid[];
  /** Whether statistics of tensors and errors of weights are wanted. */
  readonly statistics: boolean;
}
