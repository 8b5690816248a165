import { TersorError } from '../errors.js';
import type { Tokenizer } from './tokenizer.js';

/** Shorter pieces are headings, initials and page numbers, whose embeddings nobody looks for. */
const fewestLetters = 20;

/**
 * The sentences of a text, each once, without surrounding white space, by the rules of Unicode (UAX 29); those of fewer
 * than twenty letters are left out.
 */
export function splitSentences(text: string): string[] {
  const segmenter = new Intl.Segmenter('en', { granularity: 'sentence' });
  const found = new Set<string>();
  // By lines, which end sentences anyway: the segmenter slows down on long texts.
  for (const line of text.split('\n')) {
    for (const { segment } of segmenter.segment(line)) {
      const sentence = segment.trim();
      if ((sentence.match(/\p{L}/gu)?.length ?? 0) >= fewestLetters) found.add(sentence);
    }
  }
  return [...found];
}

/**
 * Texts as an encoder takes them in: between the tokens that its tokenizer puts around them, cut off where they are
 * longer than `context`.
 */
export function encodeTexts(tokenizer: Tokenizer, texts: readonly string[], context: number): Int32Array[] {
  const frame = frameOf(tokenizer);
  return texts.map((text) => frame.around(tokenizer.encode(text).slice(0, context - frame.tokens)));
}

/** The shortest windows that are cut, if longer ones were asked for. */
const shortest = 16;
/** Lengths of windows: the longest, its half, and so on. */
const halvings = 4;

/**
 * Cuts a text into windows for an encoder, each between its first and its last token: of `context` tokens, of half as
 * many, of a quarter and of an eighth, in turn and with about as many tokens of each, because encoders are given texts of
 * any length and what positions add to words is part of every layer's input. What is left at the end is dropped.
 * @param source what to call the text in errors
 * @throws TersorError when the text does not fill one window
 */
export function windows(tokenizer: Tokenizer, text: string, context: number, source: string): Int32Array[] {
  const ids = tokenizer.encode(text);
  const frame = frameOf(tokenizer);
  const lengths = Array.from({ length: halvings }, (_, at) => context >> at).filter(
    (length) => length === context || length >= shortest,
  );
  const round = lengths.flatMap((length) => new Array<number>(Math.floor(context / length)).fill(length));
  const found: Int32Array[] = [];
  for (let from = 0; ; ) {
    const inner = (round[found.length % round.length] ?? context) - frame.tokens;
    if (inner <= 0 || from + inner > ids.length) break;
    found.push(frame.around(ids.slice(from, from + inner)));
    from += inner;
  }
  if (found.length === 0)
    throw new TersorError(
      `the text has ${ids.length} tokens, and one window takes ${Math.max(1, context - frame.tokens)} and ${frame.tokens} more`,
      {
        file: source,
        remedy:
          context > frame.tokens ? 'give a longer text or a smaller --context' : 'give a larger --context',
      },
    );
  return found;
}

/** The tokens that stand before and behind every text of an encoder. */
function frameOf({ vocabulary }: Tokenizer) {
  const { special, addBos, addEos, around } = vocabulary;
  const { first, last } = around ?? {
    first: addBos ? special.bos : undefined,
    last: addEos ? special.eos : undefined,
  };
  const [before, behind] = [first, last].map((id) => (id === undefined ? [] : [id]));
  return {
    tokens: (before?.length ?? 0) + (behind?.length ?? 0),
    around: (ids: readonly number[]) => Int32Array.of(...(before ?? []), ...ids, ...(behind ?? [])),
  };
}
