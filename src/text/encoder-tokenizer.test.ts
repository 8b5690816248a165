import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { miniLm } from '../../test/fixtures/data.js';
import { emptyCheckpoint } from '../../test/tiny-model.js';
import { TersorError } from '../errors.js';
import { loadTokenizer } from './load.js';
import { encodeTexts, splitSentences, windows } from './sentences.js';
import type { Tokenizer } from './tokenizer.js';

const folder = dirname(miniLm);
const load = () => loadTokenizer(emptyCheckpoint(folder, { vocab_size: 30522 }));

test('WordPiece of an encoder: lower case, no accents, the longest pieces from the left', async () => {
  const tokenizer = await load();
  const { tokens, special, kind } = tokenizer.vocabulary;
  expect(kind).toBe('wordpiece');
  expect(tokens.length).toBe(30522);
  expect(special).toEqual({ bos: 101, eos: 102, sep: 102, unk: 100, pad: 0 });
  // Ids are those of the published vocabulary.
  expect(tokenizer.encode('Hello wörld, UNAFFABLE').map((id) => tokens[id])).toEqual([
    'hello',
    'world',
    ',',
    'una',
    '##ffa',
    '##ble',
  ]);
  expect(tokenizer.encode('hello world')).toEqual([7592, 2088]);
  expect(tokenizer.decode([101, 7592, 2088, 1010, 2009, 102])).toBe('hello world, it');
});

test('a tokenizer with more tokens than the model is refused', async () => {
  const small = loadTokenizer(emptyCheckpoint(folder, { vocab_size: 30000 }));
  await expect(small).rejects.toThrow(TersorError);
  await expect(small).rejects.toThrow('it has 30522 tokens, but the model only 30000');
});

test.each([
  ['a part that nobody knows', { pre_tokenizer: { type: 'ErtPreTokenizer' } }],
  ['a missing part', { post_processor: undefined }],
  ['a pattern that is none', { normalizer: { type: 'Replace', pattern: { Recex: ' ' }, content: '' } }],
  ['a decoder that nobody knows', { decoder: { type: 'Pieces' } }],
])('a tokenizer with %s is refused', async (_, change) => {
  const intact = JSON.parse(await readFile(join(folder, 'tokenizer.json'), 'utf8'));
  const corrupt = mkdtempSync(join(tmpdir(), 'tersor-wordpiece-'));
  try {
    writeFileSync(join(corrupt, 'tokenizer.json'), JSON.stringify({ ...intact, ...change }));
    const loaded = loadTokenizer(emptyCheckpoint(corrupt, { vocab_size: 30522 }));
    await expect(loaded).rejects.toThrow(TersorError);
    await expect(loaded).rejects.toThrow('its tokenizer is corrupt or of a kind that is not supported');
  } finally {
    rmSync(corrupt, { recursive: true });
  }
});

test('Unigram: the likeliest pieces, between the tokens that the tokenizer names (XLM-RoBERTa)', async () => {
  const corpus = mkdtempSync(join(tmpdir(), 'tersor-unigram-'));
  const special = ['<s>', '<pad>', '</s>', '<unk>'];
  // The longest piece from the left, ▁aba, is not part of the likeliest cut.
  const pieces: [string, number][] = [
    ...special.map((token): [string, number] => [token, 0]),
    ...[
      ['▁', -3],
      ['a', -4],
      ['b', -4],
      ['▁aba', -6],
      ['▁ab', -2],
      ['ab', -2.5],
    ].map(([piece, score]): [string, number] => [String(piece), Number(score)]),
  ];
  const json = {
    version: '1.0',
    added_tokens: special.map((content, id) => ({ id, content, special: true, normalized: false })),
    normalizer: { type: 'NFKC' },
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    post_processor: { type: 'RobertaProcessing', sep: ['</s>', 2], cls: ['<s>', 0] },
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    model: { type: 'Unigram', unk_id: 3, vocab: pieces },
  };
  try {
    writeFileSync(join(corpus, 'tokenizer.json'), JSON.stringify(json));
    const tokenizer = await loadTokenizer(emptyCheckpoint(corpus, { vocab_size: pieces.length }));
    const { kind, tokens, special: ids } = tokenizer.vocabulary;
    expect(kind).toBe('unigram');
    expect(ids).toEqual({ bos: 0, eos: 2, sep: 2, unk: 3, pad: 1 });
    expect(tokenizer.encode('abab ab').map((id) => tokens[id])).toEqual(['▁ab', 'ab', '▁ab']);
    expect(encodeTexts(tokenizer, ['ab'], 8).map((text) => [...text])).toEqual([[0, 8, 2]]);
  } finally {
    rmSync(corpus, { recursive: true });
  }
});

describe('texts of encoders', () => {
  const letters: Tokenizer = {
    vocabulary: {
      kind: 'wordpiece',
      tokens: ['[', ']', 'a', 'b'],
      types: [3, 3, 1, 1],
      special: { bos: 0, eos: 1 },
      addBos: true,
      addEos: true,
    },
    warnings: [],
    encode: (text) => Array.from(text, (letter) => 'ab'.indexOf(letter) + 2),
    decode: () => '',
  };

  test('stand between their first and last token, and are cut off there', () => {
    const [short, long] = encodeTexts(letters, ['ab', 'abababab'], 5);
    expect([...(short ?? [])]).toEqual([0, 2, 3, 1]);
    expect([...(long ?? [])]).toEqual([0, 2, 3, 2, 1]);
  });

  test('stand between what the post-processor puts around them, or between nothing', () => {
    const around = (tokens: object): Tokenizer => ({
      ...letters,
      vocabulary: { ...letters.vocabulary, around: tokens },
    });
    expect(encodeTexts(around({}), ['ab'], 5).map((ids) => [...ids])).toEqual([[2, 3]]);
    expect(encodeTexts(around({ last: 0 }), ['abba'], 3).map((ids) => [...ids])).toEqual([[2, 3, 0]]);
    expect(windows(around({}), 'abab', 4, 'text').map((ids) => [...ids])).toEqual([[2, 3, 2, 3]]);
  });

  test('windows cover the text once, in several lengths with as many tokens of each', () => {
    const found = windows(letters, 'abbbaaab', 5, 'text');
    expect(found.map((window) => [...window])).toEqual([
      [0, 2, 3, 3, 1],
      [0, 3, 2, 2, 1],
    ]);
    const text = Array.from({ length: 1000 }, (_, at) => 'ab'[at % 3 === 0 ? 0 : 1]).join('');
    const mixed = windows(letters, text, 64, 'text');
    expect(mixed.map(({ length }) => length).slice(0, 8)).toEqual([64, 32, 32, 16, 16, 16, 16, 64]);
    const covered = mixed.flatMap((window) => [...window].slice(1, -1));
    expect(covered).toEqual(letters.encode(text).slice(0, covered.length));
    expect(covered.length).toBeGreaterThan(1000 - 64);
    expect(() => windows(letters, 'ab', 5, 'text')).toThrow('text: the text has 2 tokens');
    expect(() => windows(letters, 'abab', 2, 'text')).toThrow('larger --context');
  });

  test('sentences end where Unicode says, and each comes once', () => {
    const text =
      'The first sentence stands here. Is this the second sentence? Short one.\nA line of its own ends, too\nThe first sentence stands here.';
    expect(splitSentences(text)).toEqual([
      'The first sentence stands here.',
      'Is this the second sentence?',
      'A line of its own ends, too',
    ]);
  });
});
