import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emptyCheckpoint, writeTinyModel } from '../../test/tiny-model.js';
import { openLlama } from '../runtime/llama.js';
import { createTokenizer, cutBetweenTokens } from './encode.js';
import { createPreTokenizer } from './library.js';
import { loadTokenizer } from './load.js';
import { findCuts, recognise } from './pretokenizer.js';
import { tokenType, type Vocabulary } from './tokenizer.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-encode-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Compares ids with libllama's on the same vocabulary. */
async function compare(vocabulary: Vocabulary, texts: Iterable<string>): Promise<void> {
  const path = join(folder, 'model.gguf');
  await writeTinyModel(path, vocabulary);
  const llama = await openLlama(path, { context: 64 });
  const tokenizer = createTokenizer(vocabulary);
  try {
    for (const text of texts)
      expect({ text, ids: tokenizer.encode(text) }).toEqual({ text, ids: llama.tokenize(text) });
  } finally {
    await llama.close();
  }
}

/** Strings over an alphabet, of 0 to `longest` letters. */
function* randomTexts(alphabet: readonly string[], count: number, longest: number, seed: number) {
  let state = seed;
  const below = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  for (let index = 0; index < count; index++)
    yield Array.from({ length: below(longest + 1) }, () => alphabet[below(alphabet.length)]).join('');
}

describe('SentencePiece', () => {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  );
  const words = [
    'a',
    'b',
    '▁',
    '▁▁',
    '▁▁▁',
    '▁▁▁▁',
    'ab',
    'ba',
    'aba',
    'bab',
    'abab',
    '▁a',
    'b▁',
    'xy',
    'ab▁a',
  ];
  const scoresOf = (seed: number) => {
    // Few different scores, so that most merges compete with equals.
    let state = seed;
    return words.map(() => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return -(state >>> 30);
    });
  };
  const vocabulary = (seed: number, addSpacePrefix = true): Vocabulary => ({
    kind: 'spm',
    tokens: ['<unk>', '<s>', '</s>', '<user>', ...bytes, ...words],
    types: [
      tokenType.unknown,
      tokenType.control,
      tokenType.control,
      tokenType.userDefined,
      ...bytes.map(() => tokenType.byte),
      ...words.map(() => tokenType.normal),
    ],
    scores: [0, 0, 0, 0, ...bytes.map(() => 0), ...scoresOf(seed)],
    special: { bos: 1, eos: 2, unk: 0 },
    addBos: true,
    addEos: false,
    addSpacePrefix,
  });

  test.each([1, 2, 3, 4, 5])('merges as libllama does when scores are equal (seed %i)', (seed) =>
    compare(
      vocabulary(seed),
      randomTexts(['a', 'b', ' ', '▁', 'x', 'y', 'é', '<user>', '</s>'], 400, 24, seed),
    ),
  );

  test('without a space in front', async () => {
    await compare(vocabulary(1, false), ['', 'a', ' a', 'ab<user>ab', '<user> b']);
    const tokenizer = createTokenizer(vocabulary(1, false));
    expect(tokenizer.decode(tokenizer.encode(' ab é\n'))).toBe(' ab é\n');
  });

  test('cuts only where no token has the two characters side by side', () => {
    const cut = cutBetweenTokens(['ab', 'b▁c', '🌍🌍']);
    expect(cut('')).toEqual([]);
    expect(cut('abab')).toEqual(['ab', 'ab']);
    expect(cut('ab▁cab🌍🌍🌍a')).toEqual(['ab▁c', 'ab', '🌍🌍🌍', 'a']);
  });

  test('decodes without control tokens', () => {
    const tokenizer = createTokenizer(vocabulary(1));
    expect(tokenizer.decode([])).toBe('');
    expect(tokenizer.decode([1, ...tokenizer.encode('aé b'), 2])).toBe('aé b');
    expect(tokenizer.decode([1, 2, 0])).toBe('');
  });
});

describe('byte-level', () => {
  const text =
    "It's 7 or 42, not 365; 2024 and 65536 (or 1234567)! WE'LL say 'Tis YOU'VE x'y\n\n  camelCaseWORD and\t\ttabs   runs" +
    ' \n \n\r\n end. "quoted",(nested)/path/to\n//comment\n$price=+3^2|a~b<c>d `code` ?!...\n#tag @name don’t naïve ' +
    'Ελλάδα Привет мир 你好，世界。東京タワー 한국어 हिन्दी เมือง مرحبا ½ ² Ⅷ ١٢٣ 😀🎉 x   ';
  const names = [
    'gpt-2',
    'llama-bpe',
    'dbrx',
    'qwen2',
    'qwen35',
    'smollm',
    'starcoder',
    'tekken',
    'gpt-4o',
    'deepseek-llm',
    'deepseek-coder',
    'deepseek-v3',
    'falcon',
    'bloom',
    'viking',
    'default',
  ];

  test.each(names)('%s cuts words as libllama does', async (pre) => {
    const source = resolve(import.meta.dirname, '../../models/tales');
    const { vocabulary } = await loadTokenizer(emptyCheckpoint(source));
    await compare({ ...vocabulary, pre }, [text, ...text.split(' '), ...text.split(/(?<=[^\p{L}])/u)]);
  });

  const split = (Regex: string) => ({
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  });
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const insensitive = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+";
  const rest = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
  // As the tokenizer.json files of the models spell them.
  test.each([
    ['gpt-2', byteLevel, false],
    [
      'smollm',
      { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
      false,
    ],
    ['llama-bpe', split(`${insensitive}|\\p{N}{1,3}${rest}`), true],
    ['dbrx', split(`${insensitive}|\\p{N}{1,3}${rest}`), false],
    ['qwen2', split(`${insensitive}|\\p{N}${rest}`), false],
    [
      'tekken',
      split(
        '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|' +
          '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}|' +
          ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+',
      ),
      true,
    ],
    [undefined, split('\\p{L}|.'), false],
    [undefined, { type: 'Whitespace' }, false],
  ])('recognises %s', (name, definition, ignoreMerges) => {
    expect(recognise(createPreTokenizer(definition), ignoreMerges)).toBe(name);
  });

  test('no two names stand for the same cuts', () => {
    for (const name of names.filter((entry) => entry !== 'starcoder')) {
      const { definition, ignoreMerges } = findCuts(name) ?? { definition: {}, ignoreMerges: false };
      expect(recognise(createPreTokenizer(definition), ignoreMerges)).toBe(name);
    }
  });
});
