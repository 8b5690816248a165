import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tales } from '../../test/fixtures/data.js';
import { emptyCheckpoint } from '../../test/tiny-model.js';
import { TersorError } from '../errors.js';
import { loadTokenizer } from './load.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-text-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('errors name the file and what to do', () => {
  const failure = async (files: Record<string, string | Uint8Array>, metadata = {}) => {
    const source = await mkdtemp(join(folder, 'bad-'));
    for (const [name, content] of Object.entries(files)) await writeFile(join(source, name), content);
    const error = await loadTokenizer(emptyCheckpoint(source, metadata)).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TersorError);
    const { message } = error as TersorError;
    expect(message).toContain(source);
    expect(message).not.toContain('\n');
    expect(message).toMatch(/; (put|get|use) /);
    return message;
  };
  const json = (value: object) => JSON.stringify(value);

  test('no tokenizer', async () => {
    expect(await failure({})).toContain('tokenizer.json, tokenizer.model, tokenizer.bin');
  });
  test('not JSON', async () => {
    expect(await failure({ 'tokenizer.json': '{"model":' })).toContain('not valid JSON');
  });
  test('another kind', async () => {
    expect(await failure({ 'tokenizer.json': json({ model: { type: 'WordLevel', vocab: {} } }) })).toContain(
      '"WordLevel"',
    );
    expect(
      await failure({ 'tokenizer.json': json({ model: { type: 'BPE', vocab: {}, merges: [] } }) }),
    ).toContain('neither SentencePiece nor byte-level');
  });
  test('corrupt entries', async () => {
    const bytes = { type: 'ByteLevel' };
    const model = { type: 'BPE', vocab: { a: -1 }, merges: [] };
    expect(await failure({ 'tokenizer.json': json({ pre_tokenizer: bytes, model }) })).toContain(
      '-1 is not a token id',
    );
    const merges = { ...model, vocab: { a: 0 }, merges: ['a b c'] };
    expect(await failure({ 'tokenizer.json': json({ pre_tokenizer: bytes, model: merges }) })).toContain(
      '"a b c" is not a merge',
    );
  });
  test('more tokens than the model has', async () => {
    const tokenizer = readFileSync(join(tales.model, 'tokenizer.json'));
    expect(await failure({ 'tokenizer.json': tokenizer }, { vocab_size: 4000 })).toContain(
      '4096 tokens, but the model only 4000',
    );
  });
  test('corrupt SentencePiece and llama2.c files', async () => {
    expect(await failure({ 'tokenizer.model': 'no protobuf' })).toContain('not a SentencePiece model');
    expect(await failure({ 'tokenizer.model': '' })).toContain('not a SentencePiece model');
    // One piece `a`, and a trainer whose model type is 1, unigram.
    const unigram = Uint8Array.of(0x0a, 3, 0x0a, 1, 0x61, 0x12, 2, 0x18, 1);
    expect(await failure({ 'tokenizer.model': unigram })).toContain('not of type BPE');
    expect(await failure({ 'tokenizer.bin': new Uint8Array(9) })).toContain('token 0 does not fit');
  });
});
