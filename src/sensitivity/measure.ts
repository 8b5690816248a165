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
  /** By what gradients and second derivatives tell of Δ, where a measure needs it. */
  readonly curvature?: LevelCurvature;
}

/** Parts of a Taylor expansion of the loss in the error Δ of a level, nats per token. */
export interface LevelCurvature {
  /** g · Δ, with the mean gradient of the loss on text. */
  readonly slope?: number;
  /** ½ Σ F Δ², with the diagonal of the empirical Fisher information. */
  readonly fisher?: number;
  /** ½ Δᵀ F Δ, with the whole of it: the mean over sequences of (g · Δ)². */
  readonly fisherForm?: number;
  /** ½ Σ F Δ², with the diagonal of the Fisher information, by labels drawn from the model's predictions. */
  readonly drawnFisher?: number;
  /** ½ Δᵀ F Δ with the whole of that one. */
  readonly drawnFisherForm?: number;
  /**
   * The g · Δ of which that one is half the sum of squares, by sequence, in roots of nats. Of several tensors they add up,
   * so that half the sum of squares of their sums has the interactions between the tensors, too.
   */
  readonly drawnSlopes?: readonly number[];
  /** ½ Σ D Δ², with Hutchinson's estimate of the diagonal of the divergence's Hessian; noise may make it negative. */
  readonly diagonal?: number;
}

/** What the Hessian of the divergence is like in the weights of one tensor. */
export interface TensorCurvature {
  /** Its trace, by Hutchinson's probes. */
  readonly trace?: number;
  /** Its largest eigenvalue, on all of the text and on each of several parts of it. */
  readonly eigenvalue?: number;
  readonly eigenvalues?: readonly number[];
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
  /** ‖W‖². */
  readonly norm: number;
  /** Where a measure needs it. */
  readonly curvature?: TensorCurvature;
}

/** What a measure needs besides relative errors, and what may take long to find out. */
export type Need = 'divergence' | 'statistics' | CurvatureNeed;

/** Gradients of the loss on text, or by labels drawn from predictions; traces and diagonals; largest eigenvalues. */
export type CurvatureNeed = 'gradients' | 'drawn gradients' | 'traces' | 'eigenvalues';

/** A way to tell what storing a tensor at some level does to the model. */
export interface SensitivityMeasure extends Method {
  readonly needs: readonly Need[];
  /** Loss of each level, in units that can be added over tensors. */
  loss(tensor: TensorFacts): number[];
}

/**
 * Loss ε · importance. An importance tells tensors apart and ε their levels: to second order a loss is a quadratic
 * form of the error, so that at a fixed tensor every measure of sensitivity grows with the square of the error and only the
 * factor is left to find.
 */
export const weighted =
  (importance: (statistics: TensorStatistics) => number): SensitivityMeasure['loss'] =>
  ({ levels, statistics }) => {
    const factor = statistics ? importance(statistics) : 1;
    return levels.map(({ relativeError }) => factor * relativeError);
  };

/** Loss c · ‖Δ‖² for a mean curvature c of the tensor's weights; of tensors without curvature the bare error. */
export const perWeight =
  (curvature: (found: TensorCurvature) => number | undefined): SensitivityMeasure['loss'] =>
  ({ levels, statistics }) => {
    const found = statistics?.curvature && curvature(statistics.curvature);
    const factor = found === undefined ? 1 : (found / (statistics?.elements ?? 1)) * (statistics?.norm ?? 1);
    return levels.map(({ weightError, relativeError }) => factor * (weightError ?? relativeError));
  };

/** Loss as a part of a level's Taylor expansion says; of levels without an expansion the bare error. */
export const expanded =
  (part: (found: LevelCurvature) => number | undefined): SensitivityMeasure['loss'] =>
  ({ levels }) =>
    levels.map(({ curvature, relativeError }) => (curvature && part(curvature)) ?? relativeError);

/** ½ Δᵀ F Δ of levels of several tensors together, interactions included; nats per token. */
export function jointLoss(levels: readonly LevelFacts[]): number {
  const count = Math.max(0, ...levels.map(({ curvature }) => curvature?.drawnSlopes?.length ?? 0));
  let loss = 0;
  for (let sequence = 0; sequence < count; sequence++) {
    const slope = levels.reduce((sum, { curvature }) => sum + (curvature?.drawnSlopes?.[sequence] ?? 0), 0);
    loss += slope ** 2 / 2;
  }
  return loss;
}
