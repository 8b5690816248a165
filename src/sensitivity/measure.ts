import type { Method } from '../method.js';
/** What is known of one way to store a tensor. */
export interface LevelFacts {
  readonly bytes: number;
  /** ε = tr(Δ H Δᵀ) / tr(W H Wᵀ). */
  readonly relativeError: number;
  /** Mean KL divergence of the model with only this tensor stored so, where it was measured; nats per token. */
  readonly divergence?: number;
  /** ‖Δ‖² / ‖W‖², where it was measured. */
  readonly weightError?: number;
}

/** What is known of a tensor. */
export interface TensorFacts {
  readonly name: string;
  readonly levels: readonly LevelFacts[];
  /** Of tensors with a choice of levels, where a measure needs them. */
  readonly statistics?: TensorStatistics;
}

/** Cheap statistics of a tensor and of what it is fed with. */
export interface TensorStatistics {
  /** Number of weights. */
  readonly elements: number;
  /** tr(W H Wᵀ), the energy of its outputs per token; of an embedding the mean energy of a row. */
  readonly energy: number;
  /** Share of weights more than one standard deviation above their mean. */
  readonly outliers: number;
  /** Entropy of its inputs' values, of an embedding or a head that of its own values; nats. */
  readonly entropy: number;
  /** Cosine between what enters its block and what leaves it, mean over tokens. */
  readonly cosine?: number;
  /** Which of the blocks, from above 0 to 1 for the last; 0 outside. */
  readonly depth: number;
}

/** What a measure needs besides relative errors, and what may take long to find out. */
export type Need = 'divergence' | 'statistics';

/** A way to judge what storing a tensor at some level does to the model. */
export interface DamageMeasure extends Method {
  readonly needs: readonly Need[];
  /** Damage of each level, in units that can be added over tensors. */
  damage(tensor: TensorFacts): number[];
}

/**
 * Damage ε · importance. An importance tells tensors apart and ε their levels: to second order a loss is a quadratic
 * form of the error, so that at a fixed tensor every measure of damage grows with the square of the error and only the
 * factor is left to find.
 */
export const weighted =
  (importance: (statistics: TensorStatistics) => number): DamageMeasure['damage'] =>
  ({ levels, statistics }) => {
    const factor = statistics ? importance(statistics) : 1;
    return levels.map(({ relativeError }) => factor * relativeError);
  };
