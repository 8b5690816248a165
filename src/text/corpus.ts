import { readFile } from 'node:fs/promises';
import type { Tokenizer } from './tokenizer.js';
export const readText = (path: string) => readFile(path, 'utf8');
export function chunk(tokenizer: Tokenizer, text: string, context: number, _source: string): Int32Array[] {
  const { bos } = tokenizer.vocabulary.special;
  const ids = tokenizer.encode(text);
  if (tokenizer.vocabulary.addBos && bos !== undefined) ids.unshift(bos);
  const out: Int32Array[] = [];
  for (let i = 0; i + context <= ids.length; i += context) {
    const c = Int32Array.from(ids.slice(i, i + context));
    if (tokenizer.vocabulary.addBos && bos !== undefined) c[0] = bos;
    out.push(c);
  }
  return out;
}
export function sample(chunks: readonly Int32Array[], count: number, _seed: number): Int32Array[] {
  return chunks.slice(0, count);
}
