/** A dense matrix, row-major: element (r, c) is `data[r * cols + c]`. A linear layer's weight is out × in. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float32Array;
}

/** Moments of a linear layer's calibration inputs. */
export interface Moments {
  /** H = Σ x xᵀ / tokens, in × in. */
  readonly gram: Matrix;
  /**
   * Σ (x − x̃) x̃ᵀ / tokens, in × in: x is what the layer gets in the original model, x̃ what it gets behind compressed
   * layers, to which `gram` then belongs.
   */
  readonly drift?: Matrix;
  /** Means E[x] in the original model and E[x̃] behind compressed layers (the same one where there are none). */
  readonly means?: { readonly original: Float32Array; readonly own: Float32Array };
  /** Number of token positions that went into the sums. */
  readonly tokens: number;
}

/** Told to whoever watches a long job: `done` of `total` units of the named stage. */
export type Progress = (stage: string, done: number, total: number) => void;
