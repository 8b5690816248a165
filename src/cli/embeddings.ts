import type { EmbeddingSummary } from '../types.js';
import { formatPercent } from './format.js';

/** Cosines of interest are near one, where three significant digits all say 1.00. */
export const formatCosine = (cosine: number): string => cosine.toFixed(4);

/** How near an encoder's embeddings are to the original's, name and value per line. */
export function describeEmbeddings({ cosine, retrieval }: EmbeddingSummary) {
  return [
    [
      'cosine',
      `mean ${formatCosine(cosine.mean)} with the original's embeddings; 90 % above ${formatCosine(cosine.p10)}, 99 % above ${formatCosine(cosine.p1)}, worst ${formatCosine(cosine.min)}`,
    ],
    [
      'retrieval',
      `same nearest sentence ${formatPercent(retrieval.top1)}, same among the nearest ten ${formatPercent(retrieval.top10)}, nDCG@10 ${retrieval.ndcg10.toFixed(4)}`,
    ],
  ] as const;
}
