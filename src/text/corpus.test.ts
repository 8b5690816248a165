import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TersorError } from '../errors.js';
import { builtinText } from './builtin.js';
import { chunk, readText, sample } from './corpus.js';
import type { Tokenizer } from './tokenizer.js';

/** One token per character, numbered by its code; BOS is 1. */
const characters = (addBos: boolean): Tokenizer => ({
  vocabulary: { kind: 'bpe', tokens: [], types: [], special: { bos: 1 }, addBos, addEos: false },
  warnings: [],
  encode: (text) => Array.from(text, (character) => character.charCodeAt(0)),
  decode: (ids) => String.fromCharCode(...ids),
});
const show = (chunks: readonly Int32Array[]) =>
  chunks.map((ids) => String.fromCharCode(...ids).replaceAll('\u0001', '^'));

describe('chunk', () => {
  test('puts BOS before the text once, then in the place of the first token of each sequence', () => {
    expect(show(chunk(characters(true), 'abcdefghij', 4, 'x'))).toEqual(['^abc', '^efg']);
  });
  test('without BOS cuts at every context, and drops the rest', () => {
    expect(show(chunk(characters(false), 'abcdefghij', 4, 'x'))).toEqual(['abcd', 'efgh']);
    expect(show(chunk(characters(false), 'abcd', 4, 'x'))).toEqual(['abcd']);
  });
  test('refuses a text that does not fill one sequence', () => {
    expect(() => chunk(characters(true), 'abc', 5, 'short.txt')).toThrow(
      'short.txt: the text has 4 tokens, and one sequence takes 5; give a longer text or a smaller --context',
    );
  });
});

describe('sample', () => {
  const chunks = Array.from({ length: 100 }, (_, index) => Int32Array.of(index));
  const chosen = (count: number, seed: number) => sample(chunks, count, seed).map(([index]) => index ?? -1);

  test('takes one of each equal part of the text, in its order', () => {
    for (let seed = 0; seed < 50; seed++)
      for (const [part, index] of chosen(7, seed).entries()) {
        expect(index).toBeGreaterThanOrEqual(Math.floor((part * 100) / 7));
        expect(index).toBeLessThan(Math.floor(((part + 1) * 100) / 7));
      }
  });
  test('depends on the seed alone', () => {
    expect(chosen(10, 3)).toEqual(chosen(10, 3));
    expect(chosen(10, 3)).not.toEqual(chosen(10, 4));
  });
  test('draws every place of a part about as often', () => {
    const counts = new Array<number>(10).fill(0);
    for (let seed = 0; seed < 2000; seed++)
      for (const index of chosen(10, seed)) counts[index % 10] = (counts[index % 10] ?? 0) + 1;
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(250);
  });
  test('takes all when there are not more', () => {
    expect(sample(chunks, 100, 1)).toEqual(chunks);
    expect(sample(chunks, 1000, 1)).toEqual(chunks);
  });
});

describe('readText', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tersor-corpus-'));
  });
  afterAll(() => rm(folder, { recursive: true }));
  const read = async (content: string | Uint8Array) => {
    await writeFile(join(folder, 'text.txt'), content);
    return readText(join(folder, 'text.txt'));
  };

  test('drops one line feed at the end and nothing else', async () => {
    expect(await read('\ufeffa\r\nü \n\n')).toBe('\ufeffa\r\nü \n');
    expect(await read('a')).toBe('a');
  });
  test.each([
    ['an empty file', '', 'the text is empty; give a file with some kilobytes of text'],
    ['a blank file', ' \n\t\n', 'the text is empty'],
    ['bytes', Uint8Array.of(0x61, 0xff), 'is not UTF-8 text; convert it to UTF-8'],
  ])('refuses %s', async (_, content, message) => {
    const error = await read(content).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TersorError);
    expect(String(error)).toContain(`text.txt: ${message}`);
  });
  test('refuses what is not there or no file', async () => {
    await expect(readText(join(folder, 'none.txt'))).rejects.toThrow(
      'none.txt: does not exist; give the path',
    );
    await expect(readText(folder)).rejects.toThrow('cannot be read (EISDIR); give the path');
  });
});

test('the built-in text has some thousand words and many scripts', () => {
  expect(builtinText.length).toBeGreaterThan(20_000);
  for (const script of ['Latin', 'Cyrillic', 'Greek', 'Han', 'Hangul', 'Arabic', 'Devanagari', 'Hiragana'])
    expect(builtinText).toMatch(new RegExp(`\\p{Script=${script}}{2}`, 'u'));
});
