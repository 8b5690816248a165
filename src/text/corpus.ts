import { readFile } from 'node:fs/promises';
import { TersorError } from '../errors.js';
import { isJsonLines, textOfJsonLines } from './json-lines.js';
import type { Tokenizer } from './tokenizer.js';

/**
 * A text file's contents, without the line feed at its end (llama.cpp's tools drop it as well); of JSON
 * lines the texts.
 * @throws TersorError when it cannot be read, is not UTF-8, or has nothing but white space
 */
export async function readText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((cause) => {
    const problem = cause.code === 'ENOENT' ? 'does not exist' : `cannot be read (${cause.code})`;
    throw new TersorError(problem, { file: path, remedy: 'give the path of a UTF-8 text file', cause });
  });
  let text: string;
  try {
    // A byte-order mark is kept: it is a token like any other to the tokenizers that text is compared with.
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new TersorError('is not UTF-8 text', {
      file: path,
      remedy: 'convert it to UTF-8 (iconv -t UTF-8)',
      cause,
    });
  }
  if (text.trim() === '')
    throw new TersorError('the text is empty', {
      file: path,
      remedy: 'give a file with some kilobytes of text',
    });
  if (isJsonLines(path, text)) return textOfJsonLines(path, text);
  return text.endsWith('\n') ? text.slice(0, -1) : text;
}

/**
 * Cuts a text into sequences as llama.cpp's perplexity tool does (tools/perplexity/perplexity.cpp): the whole
 * text is tokenised once, with BOS before it when the tokenizer asks for it, and cut into consecutive runs of
 * `context` tokens; BOS then takes the place of each run's first token. What is left at the end is dropped.
 * @param source what to call the text in errors
 * @throws TersorError when the text does not fill one sequence
 */
export function chunk(tokenizer: Tokenizer, text: string, context: number, source: string): Int32Array[] {
  const { addBos, special } = tokenizer.vocabulary;
  const bos = addBos ? special.bos : undefined;
  const ids = tokenizer.encode(text);
  if (bos !== undefined) ids.unshift(bos);
  const chunks: Int32Array[] = [];
  for (let from = 0; from + context <= ids.length; from += context) {
    const sequence = Int32Array.from(ids.slice(from, from + context));
    if (bos !== undefined) sequence[0] = bos;
    chunks.push(sequence);
  }
  if (chunks.length === 0)
    throw new TersorError(`the text has ${ids.length} tokens, and one sequence takes ${context}`, {
      file: source,
      remedy: 'give a longer text or a smaller --context',
    });
  return chunks;
}

/**
 * Chooses `count` sequences spread over the text: one at random from each of as many equal parts, in the
 * order of the text. The same seed chooses the same ones; all are taken when there are no more than `count`.
 */
export function sample(chunks: readonly Int32Array[], count: number, seed: number): Int32Array[] {
  if (count >= chunks.length) return [...chunks];
  return Array.from({ length: count }).flatMap((_, part) => {
    const from = Math.floor((part * chunks.length) / count);
    const to = Math.floor(((part + 1) * chunks.length) / count);
    const chosen = from + Math.floor(fraction(seed, part) * (to - from));
    return chunks.slice(chosen, chosen + 1);
  });
}

/** A number in [0, 1) for the `index`-th draw of a seed: the mixing steps of SplitMix32. */
function fraction(seed: number, index: number): number {
  let state = (seed + Math.imul(index + 1, 0x9e3779b9)) | 0;
  state = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
  state = Math.imul(state ^ (state >>> 15), 0x735a2d97);
  return ((state ^ (state >>> 15)) >>> 0) / 2 ** 32;
}

/** Of sequences of any lengths some that have so many tokens together at most, evenly spread; at least one. */
export function spread(sequences: readonly Int32Array[], tokens: number): Int32Array[] {
  const all = sequences.reduce((sum, { length }) => sum + length, 0);
  const count = Math.max(1, Math.floor((sequences.length * tokens) / all));
  if (count >= sequences.length) return [...sequences];
  return Array.from(
    { length: count },
    (_, at) => sequences[Math.floor((at * sequences.length) / count)] ?? new Int32Array(),
  );
}
