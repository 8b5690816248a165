import type { Divergence, Summary } from '../types.js';
import type { Scores } from './score.js';

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
