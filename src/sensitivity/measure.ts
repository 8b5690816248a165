/** What is known of one way to store a tensor. */
export interface LevelFacts {
  readonly bytes: number;
  /** ε = tr(Δ H Δᵀ) / tr(W H Wᵀ). */
  readonly relativeError: number;
  /** Mean KL divergence of the model with only this tensor stored so, where it was measured; nats per token. */
  readonly divergence?: number;
}

/** What is known of a tensor. */
export interface TensorFacts {
  readonly name: string;
  readonly levels: readonly LevelFacts[];
}

/** A way to judge what storing a tensor at some level does to the model. */
export interface DamageMeasure {
  readonly name: string;
  /** The row of the catalogue of methods. */
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  /** Damage of each level, in units that can be added over tensors. */
  damage(tensor: TensorFacts): number[];
}
