import type { Scores } from './score.js';

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

export function summarise({ loss, reference }: Scores): Summary {
  const tokens = loss.length;
  if (!reference) return { tokens, perplexity: Math.exp(mean(loss)) };
  return {
    tokens,
    perplexity: Math.exp(mean(loss)),
    reference: { perplexity: Math.exp(mean(reference.loss)) },
    divergence: distribution(reference.divergence),
    sameTop: mean(reference.sameTop),
  };
}

export function distribution(values: Float32Array): Divergence {
  const sorted = values.slice().sort();
  const at = (share: number) => sorted[Math.min(values.length - 1, Math.floor(share * values.length))] ?? 0;
  const average = mean(values);
  const variance = mean(values.map((value) => (value - average) ** 2));
  return {
    mean: average,
    standardError: Math.sqrt(variance / values.length),
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: sorted.at(-1) ?? 0,
  };
}

const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
