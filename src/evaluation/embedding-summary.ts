import type { RuntimeOptions } from '../runtime/session.js';
import type { EmbeddingSummary, Matrix } from '../types.js';
import { rowDistances } from './embedding.js';
import { retrieval } from './retrieval.js';

/** @param embeddings and reference: a row of length one for each text */
export async function compareEmbeddings(
  embeddings: Matrix,
  reference: Matrix,
  options: RuntimeOptions = {},
): Promise<EmbeddingSummary> {
  const cosines = Float64Array.from(rowDistances(embeddings, reference), (distance) => 1 - distance).sort();
  const at = (share: number) => cosines[Math.floor(share * cosines.length)] ?? Number.NaN;
  return {
    texts: cosines.length,
    cosine: {
      mean: cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length,
      p10: at(0.1),
      p1: at(0.01),
      min: at(0),
    },
    retrieval: await retrieval(embeddings, reference, options),
  };
}
