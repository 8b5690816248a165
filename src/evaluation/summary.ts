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

/** KL divergence over positions, nats per token. */
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
  const { divergence } = reference;
  const sorted = divergence.slice().sort();
  const at = (share: number) => sorted[Math.min(tokens - 1, Math.floor(share * tokens))] ?? 0;
  const average = mean(divergence);
  const variance = mean(divergence.map((value) => (value - average) ** 2));
  return {
    tokens,
    perplexity: Math.exp(mean(loss)),
    reference: { perplexity: Math.exp(mean(reference.loss)) },
    divergence: {
      mean: average,
      standardError: Math.sqrt(variance / tokens),
      p50: at(0.5),
      p90: at(0.9),
      p99: at(0.99),
      max: sorted.at(-1) ?? 0,
    },
    sameTop: mean(reference.sameTop),
  };
}

const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
