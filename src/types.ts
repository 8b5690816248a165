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
  readonly crossMoments?: Matrix;
  /** Means E[x] in the original model and E[x̃] behind compressed layers (the same one where there are none). */
  readonly means?: { readonly original: Float32Array; readonly own: Float32Array };
  /** Number of token positions that went into the sums. */
  readonly tokens: number;
  /** λ, where the moments are (1 − λ) M + λ diag M of the sums M. */
  readonly shrinkage?: number;
  /** Inputs that went into none of the sums, to judge by what was fitted to these. */
  readonly heldOut?: HeldOutInputs;
  /** Of the layers of an expert: tokens that chose it. Some of other tokens are among the sums, with little weight. */
  readonly routed?: number;
}

/** Inputs of a linear layer, tokens × in. */
export interface HeldOutInputs {
  /** x̃, which the moments are about. */
  readonly own: Matrix;
  /** x of the same tokens in the original model, where the moments include cross moments. */
  readonly original?: Matrix;
}

/** Told to whoever watches a long job: `done` of `total` units of the named stage. */
export type Progress = (stage: string, done: number, total: number) => void;

/** What a model's predictions on a text are worth, alone or against a reference. */
export interface Summary {
  /** Scored positions. */
  readonly tokens: number;
  readonly perplexity: number;
  readonly reference?: { readonly perplexity: number };
  /** KL divergence from the reference, nats per token. */
  readonly divergence?: Divergence;
  /** Share of positions where both models' most likely token is the same. */
  readonly sameTop?: number;
}

/** KL divergence over positions, nats per token; for encoders, one less the cosine over texts. */
export interface Divergence {
  readonly mean: number;
  /** Standard error of the mean, positions taken as independent. */
  readonly standardError: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** How near an encoder's embeddings of some texts are to those of a reference. */
export interface EmbeddingSummary {
  /** Texts compared. */
  readonly texts: number;
  /** Cosine of a text's embedding with the reference's. */
  readonly cosine: { readonly mean: number; readonly p10: number; readonly p1: number; readonly min: number };
  readonly retrieval: Retrieval;
}

/** How well a search among texts finds what it finds with the original's embeddings; each text asks for the others. */
export interface Retrieval {
  /** Share of texts whose nearest other text is the same. */
  readonly top1: number;
  /** Mean share of the original's ten nearest texts among the ten nearest. */
  readonly top10: number;
  /**
   * Normalised discounted cumulative gain of the first ten (Järvelin and Kekäläinen, 2002), where the original's first
   * is worth ten, its second nine, and so on.
   */
  readonly ndcg10: number;
}
