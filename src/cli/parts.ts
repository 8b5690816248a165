import type { Parts } from '../pipeline/prepare/parts.js';
import { formatPercent, significant } from './format.js';

/** Above this share of the file, types of layers decide on little. */
const large = 0.5;

/** Bits per weight of a model, and of its layers and embedding apart where these differ. */
export function describeBits(bitsPerWeight: number, parts: Parts | undefined): string {
  const all = `${significant(bitsPerWeight, 3)} bits per weight`;
  if (!parts || parts.layers.bytes === 0 || parts.embedding.bytes === 0) return all;
  const [layers, embedding] = [parts.layers, parts.embedding].map((part) =>
    significant(part.bitsPerWeight, 3),
  );
  return layers === embedding ? all : `${all}: layers ${layers}, embedding ${embedding}`;
}

/** What to know of an embedding that is most of a file. */
export function embeddingHint(
  bytes: number,
  parts: Parts | undefined,
): readonly (readonly [string, string])[] {
  const share = parts ? parts.embedding.bytes / bytes : 0;
  if (share <= large) return [];
  const hint = `${formatPercent(share)} of the file: --embedding-type, such as q4_k or int4, decides on more than --type`;
  return [['embedding', hint]];
}
