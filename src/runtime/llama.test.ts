import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyLlama } from '../../test/fixtures/tiny-llama.js';
import { TersorError } from '../errors.js';
import { type LlamaModel, openLlama } from './llama.js';
import { quantizeWithLlama } from './llama-quantize.js';

const folder = mkdtempSync(join(tmpdir(), 'tersor-llama-'));
const path = join(folder, 'tiny.gguf');
let model: LlamaModel;

beforeAll(async () => {
  writeFileSync(path, tinyLlama());
  model = await openLlama(path, { context: 600, threads: 2, kvType: 'f32' });
});
afterAll(async () => {
  await model.close();
  rmSync(folder, { recursive: true });
});

/** Rows [from, to) of logits, compared at single precision: another batch size adds in another order. */
function expectClose(actual: Float32Array, expected: Float32Array) {
  expect(actual.length).toBe(expected.length);
  let worst = 0;
  for (const [index, value] of actual.entries())
    worst = Math.max(worst, Math.abs(value - (expected[index] ?? NaN)));
  expect(worst).toBeLessThan(1e-4);
}

const argmax = (values: Float32Array) => values.indexOf(Math.max(...values));
const bytes = Array.from({ length: 600 }, (_, index) => (index * index * 7 + 3) % 256);

test('knows the vocabulary', () => {
  expect(model.vocabularySize()).toBe(258);
  expect([model.bos, model.eos, model.addBos]).toEqual([256, 257, true]);
  expect([model.context, model.trainedContext]).toEqual([600, 128]);
});

test('tokenizes and back', () => {
  expect(model.tokenize('Até')).toEqual([65, 116, 0xc3, 0xa9]);
  expect(model.tokenize('hi', { addSpecial: true })).toEqual([256, 104, 105]);
  expect(model.tokenize('</s>', { parseSpecial: true })).toEqual([257]);
  expect(model.tokenize('')).toEqual([]);
  expect(model.detokenize(model.tokenize('Smørrebrød 😀'))).toBe('Smørrebrød 😀');
});

test('gives the same logits for a sequence whole, from a position on, and in batches', async () => {
  const vocabulary = model.vocabularySize();
  const all = await model.logits(bytes);
  expect(all.length).toBe(600 * vocabulary);
  expect(await model.logits(bytes, { from: 597 })).toEqual(all.slice(597 * vocabulary));
  expectClose(await model.logits(bytes.slice(0, 20)), all.slice(0, 20 * vocabulary));
  expectClose(
    await model.logits(bytes.slice(0, 514), { from: 510 }),
    all.slice(510 * vocabulary, 514 * vocabulary),
  );
  expect(await model.logits(bytes, { from: 600 })).toEqual(new Float32Array(0));
  await expect(model.logits([...bytes, 1])).rejects.toThrow('601 tokens do not fit into a context of 600');
});

test('refuses tokens outside the vocabulary', async () => {
  await expect(model.logits([1, 258])).rejects.toThrow(TersorError);
  // and goes on working
  expect((await model.logits([1])).length).toBe(258);
});

test('continues a prompt with the likeliest tokens at temperature 0', async () => {
  const tokens = model.tokenize('tale', { addSpecial: true });
  const expected: number[] = [];
  for (let step = 0; step < 8; step++) {
    const next = argmax(await model.logits([...tokens, ...expected], { from: tokens.length + step - 1 }));
    if (next === model.eos) break;
    expected.push(next);
  }
  let streamed = '';
  const { text, tokens: count } = await model.generate('tale', { maxTokens: 8, temperature: 0 }, (part) => {
    streamed += part;
  });
  expect(text).toBe(new TextDecoder().decode(Uint8Array.from(expected)));
  expect([streamed, count]).toEqual([text, expected.length]);
});

test('ends before a token that begins another text', async () => {
  // One token per byte, so that the tokens of an ASCII text are known.
  let [seed, text] = [0, ''];
  while (!/^([ -~])(?!\1)[ -~]/.test(text))
    ({ text } = await model.generate('tale', { ...drawing, seed: ++seed }));
  const file = join(folder, 'begins.gguf');
  writeFileSync(file, tinyLlama(1, text.charCodeAt(1)));
  const begins = await openLlama(file, { context: 600, threads: 2, kvType: 'f32' });
  expect(await begins.generate('tale', { ...drawing, seed })).toMatchObject({ text: text[0], tokens: 1 });
  await begins.close();
});

/** The prompt gets no BOS, which is not the same in all files. */
const drawing = { maxTokens: 8, temperature: 2, complete: true };

test('draws the same text from the same seed', async () => {
  const draw = async (seed: number) =>
    (await model.generate('tale', { maxTokens: 20, temperature: 2, topP: 1, topK: 0, seed })).text;
  const first = await draw(1);
  expect(await draw(1)).toBe(first);
  expect(await draw(2)).not.toBe(first);
});

test('stops at the end of the context and on a signal', async () => {
  const short = await openLlama(path, { context: 256, threads: 1 });
  const long = 'x'.repeat(250);
  const { text } = await short.generate(long, { maxTokens: 100, temperature: 0 });
  expect([...text].length).toBeLessThanOrEqual(256 - 251);
  await expect(short.generate('x'.repeat(256))).rejects.toThrow('does not fit into a context of 256');
  expect(await short.generate('x', { signal: AbortSignal.abort() })).toMatchObject({ text: '', tokens: 0 });
  await short.close();
});

test('says in one line why a file cannot be opened', async () => {
  const missing = join(folder, 'missing.gguf');
  await expect(openLlama(missing)).rejects.toThrow(`${missing}: cannot be read; check the path`);
  const nonsense = join(folder, 'nonsense.gguf');
  writeFileSync(nonsense, 'GGUF but not really, only some text that is long enough to look like a header');
  const truncated = join(folder, 'truncated.gguf');
  writeFileSync(truncated, tinyLlama().subarray(0, -1000));
  for (const file of [nonsense, truncated]) {
    const error = await openLlama(file).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TersorError);
    expect((error as TersorError).message).toMatch(/^\S+\.gguf: llama\.cpp cannot load the model \(.+\)$/);
  }
});

test("quantizes with llama.cpp's own quantizer", async () => {
  const q8 = join(folder, 'q8_0.gguf');
  await quantizeWithLlama(path, q8, 'q8_0', { pure: true, threads: 1 });
  expect(statSync(q8).size).toBeLessThan(0.4 * statSync(path).size);
  const quantized = await openLlama(q8, { context: 256, threads: 1, kvType: 'f32' });
  const tokens = bytes.slice(0, 100);
  const [exact, rounded] = [await model.logits(tokens), await quantized.logits(tokens)];
  const energy = exact.reduce((sum, value) => sum + value * value, 0);
  const error = rounded.reduce((sum, value, index) => sum + (value - (exact[index] ?? 0)) ** 2, 0);
  expect(error / energy).toBeGreaterThan(0);
  expect(error / energy).toBeLessThan(0.01);
  await quantized.close();
});

test('passes importances and types of single tensors to the quantizer', async () => {
  const quantize = async (name: string, options: Parameters<typeof quantizeWithLlama>[3]) => {
    const output = join(folder, `${name}.gguf`);
    await quantizeWithLlama(path, output, 'q4_0', { pure: true, threads: 1, ...options });
    const opened = await openLlama(output, { context: 256, threads: 1 });
    const logits = await opened.logits(bytes.slice(0, 10));
    await opened.close();
    return { bytes: statSync(output).size, logits };
  };
  const plain = await quantize('plain', {});
  const imatrix = new Map([
    ['blk.0.attn_q.weight', Float32Array.from({ length: 32 }, (_, col) => 1 + 100 * (col % 2))],
  ]);
  expect((await quantize('imatrix', { imatrix })).logits).not.toEqual(plain.logits);
  const embedding = await quantize('embedding', { tokenEmbeddingType: 'q8_0' });
  // 258 × 32 weights at 34 bytes a block of 32 in place of 18
  expect(embedding.bytes - plain.bytes).toBe(258 * 16);
  const overridden = await quantize('override', { overrides: [{ pattern: 'ffn_down', type: 'q8_0' }] });
  expect(overridden.bytes - plain.bytes).toBe(64 * 16);
  await expect(
    quantizeWithLlama(join(folder, 'missing.gguf'), join(folder, 'x.gguf'), 'q4_0'),
  ).rejects.toThrow(TersorError);
});
