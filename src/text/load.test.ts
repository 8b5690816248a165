import { readFileSync } from 'node:fs';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { shared, sharedMissing } from '../../test/fixtures/data.js';
import { needs } from '../../test/fixtures/needs.js';
import { emptyCheckpoint, writeTinyModel } from '../../test/tiny-model.js';
import { openGguf } from '../checkpoint/gguf/gguf.js';
import { openLlama } from '../runtime/llama.js';
import { builtinText } from './builtin.js';
import { loadTokenizer } from './load.js';
import { tokenType } from './tokenizer.js';

const root = resolve(import.meta.dirname, '../..');
const tales = join(root, 'models/tales');
const stories = shared?.models.stories15M ?? '';
const sharedTexts = shared ? [shared.calibration, shared.evaluation, shared.encyclopedia] : [];
const config = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));

const awkward = [
  '',
  ' ',
  'x',
  ' leading',
  'trailing ',
  '\n\n\n',
  'tabs\t\tand \r\n lines',
  'a<s>b</s><unk>c <0x0A>',
  `runs${' '.repeat(37)}of${' '.repeat(6)}spaces${' '.repeat(5)}`,
  '▁ ▁▁ ▁x▁',
  'naïve 你好 日本語 👩‍👩‍👧 é ½ 12345 don’t DON’T won\'t "quoted"',
  '\u0000\u0001\ufeffx\ufffd',
  builtinText,
];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-text-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('ids are those of libllama on the written vocabulary', () => {
  test('tales', () => compareWithLlama('tales', tales, []));

  test.each(['tales', 'stories15M'] as const)('%s on other texts', needs(sharedMissing), (model) =>
    compareWithLlama(model, shared?.models[model] ?? '', sharedTexts),
  );

  async function compareWithLlama(model: string, source: string, texts: readonly string[]): Promise<void> {
    const tokenizer = await loadTokenizer(emptyCheckpoint(source, config(source)));
    expect(tokenizer.warnings).toEqual([]);
    const path = join(folder, `${model}.gguf`);
    await writeTinyModel(path, tokenizer.vocabulary);
    const written = await openGguf(path);
    const again = await loadTokenizer(written);
    await written.close();
    const llama = await openLlama(path, { context: 64 });
    try {
      expect([llama.bos, llama.eos, llama.addBos]).toEqual([
        tokenizer.vocabulary.special.bos,
        tokenizer.vocabulary.special.eos,
        true,
      ]);
      const files = texts.map((path) => readFileSync(path, 'utf8').slice(0, 400_000));
      for (const text of [...awkward, ...files]) {
        const ids = llama.tokenize(text);
        expect(firstDifference(tokenizer.encode(text), ids)).toBe(-1);
        expect(firstDifference(again.encode(text), ids)).toBe(-1);
        // SentencePiece's stand-in for a space reads as a space.
        expect(tokenizer.decode(ids)).toBe(model === 'tales' ? text : text.replaceAll('▁', ' '));
      }
      const whole = llama.tokenize(builtinText, { addSpecial: true });
      expect(whole).toEqual([tokenizer.vocabulary.special.bos, ...tokenizer.encode(builtinText)]);
    } finally {
      await llama.close();
    }
  }
});

describe('vocabulary', () => {
  test('of a byte-level tokenizer', async () => {
    const { vocabulary } = await loadTokenizer(emptyCheckpoint(tales, config(tales)));
    expect(vocabulary).toMatchObject({
      kind: 'bpe',
      pre: 'gpt-2',
      special: { bos: 0, eos: 1, unk: 2 },
      addBos: true,
      addEos: false,
    });
    expect(vocabulary.tokens).toHaveLength(4096);
    expect(vocabulary.types.slice(0, 4)).toEqual([
      tokenType.control,
      tokenType.control,
      tokenType.control,
      tokenType.normal,
    ]);
    expect(vocabulary.merges).toHaveLength(3837);
    expect(vocabulary.merges?.slice(0, 2)).toEqual(['Ġ t', 'h e']);
  });

  test('rows of the embedding that no token has are unused', async () => {
    const { vocabulary } = await loadTokenizer(
      emptyCheckpoint(tales, { ...config(tales), vocab_size: 4100 }),
    );
    expect(vocabulary.tokens.slice(4095)).toEqual([
      vocabulary.tokens[4095],
      '[PAD4096]',
      '[PAD4097]',
      '[PAD4098]',
      '[PAD4099]',
    ]);
    expect(vocabulary.types.slice(4096)).toEqual(Array(4).fill(tokenType.unused));
  });

  test('of SentencePiece, the same ids from each of its files', needs(sharedMissing), async () => {
    // This tokenizer.json merges two spaces first, tokenizer.model last: they agree on single ones only.
    const text = readFileSync(shared?.evaluation ?? '', 'utf8')
      .slice(0, 100_000)
      .replaceAll(/ +/g, ' ');
    const full = await loadTokenizer(emptyCheckpoint(stories, config(stories)));
    expect(full.vocabulary).toMatchObject({ kind: 'spm', addBos: true, addEos: false, addSpacePrefix: true });
    expect(full.vocabulary.scores?.slice(0, 3)).toEqual([0, 0, 0]);
    for (const name of ['tokenizer.json', 'tokenizer.model']) {
      const alone = await mkdtemp(join(folder, 'alone-'));
      await cp(join(stories, name), join(alone, name));
      const tokenizer = await loadTokenizer(emptyCheckpoint(alone, config(stories)));
      const { types, tokens, special, addBos, addSpacePrefix } = tokenizer.vocabulary;
      expect({ types, tokens, special, addBos, addSpacePrefix }).toEqual({
        types: full.vocabulary.types,
        tokens: full.vocabulary.tokens,
        special: full.vocabulary.special,
        addBos: true,
        addSpacePrefix: true,
      });
      expect(firstDifference(tokenizer.encode(text), full.encode(text))).toBe(-1);
    }
    const legacy = await mkdtemp(join(folder, 'legacy-'));
    await writeFile(
      join(legacy, 'tokenizer.bin'),
      llama2cFile(full.vocabulary.tokens, full.vocabulary.scores),
    );
    const tokenizer = await loadTokenizer(emptyCheckpoint(legacy, config(stories)));
    expect(tokenizer.vocabulary).toEqual(full.vocabulary);
    expect(firstDifference(tokenizer.encode(text), full.encode(text))).toBe(-1);
  });
});

describe('what the files around tokenizer.json say', () => {
  const letters = { a: 0, b: 1, ab: 2 };
  const special = (id: number, content: string, flag = true) => ({
    id,
    content,
    special: flag,
    normalized: false,
  });
  const tokenizer = {
    added_tokens: [special(3, '<|begin|>'), special(4, '<|end|>', false), special(5, '<tool>', false)],
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    post_processor: null as object | null,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: letters, merges: [['a', 'b']] },
  };
  const begins = {
    type: 'Sequence',
    processors: [
      { type: 'ByteLevel' },
      {
        type: 'TemplateProcessing',
        single: [{ SpecialToken: { id: '<|begin|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      },
    ],
  };
  const load = async (files: Record<string, object | string>, metadata = {}) => {
    const source = await mkdtemp(join(folder, 'files-'));
    for (const [name, content] of Object.entries({ 'tokenizer.json': tokenizer, ...files }))
      await writeFile(join(source, name), typeof content === 'string' ? content : JSON.stringify(content));
    return loadTokenizer(emptyCheckpoint(source, metadata));
  };

  test('added tokens are control tokens when special or when they look so, else user-defined', async () => {
    const { vocabulary, encode, decode } = await load({});
    expect(vocabulary.types.slice(3)).toEqual([tokenType.control, tokenType.control, tokenType.userDefined]);
    expect(vocabulary).toMatchObject({ special: {}, addBos: false, addEos: false });
    expect(encode('ab<tool>a')).toEqual([2, 5, 0]);
    expect(decode([3, 2, 5, 4])).toBe('ab<tool>');
  });

  test('added tokens beyond the rows of the embedding are left out, and a warning names them', async () => {
    const { vocabulary, encode, warnings } = await load({}, { vocab_size: 5 });
    expect(vocabulary.tokens).toEqual(['a', 'b', 'ab', '<|begin|>', '<|end|>']);
    expect(warnings.join()).toContain('no row for are left out: <tool>');
    expect(Math.max(...encode('ab<tool>a'))).toBeLessThan(5);
    // Tokens of the model proper are not left out.
    await expect(load({}, { vocab_size: 2 })).rejects.toThrow('it has 6 tokens, but the model only 2');
  });

  test('a template in a sequence of post-processors adds BOS, unless the settings say otherwise', async () => {
    const asks = { 'tokenizer.json': { ...tokenizer, post_processor: begins } };
    expect((await load(asks)).vocabulary).toMatchObject({ special: { bos: 3 }, addBos: true });
    const settings = { bos_token: { content: '<|begin|>' }, eos_token: '<|end|>', add_bos_token: false };
    expect((await load({ ...asks, 'tokenizer_config.json': settings })).vocabulary).toMatchObject({
      special: { bos: 3, eos: 4 },
      addBos: false,
      addEos: false,
    });
  });

  test('special tokens come from the settings, the map of special tokens, config.json, in this order', async () => {
    const map = { 'special_tokens_map.json': { eos_token: '<|end|>', pad_token: 'b' } };
    const settings = {
      'tokenizer_config.json': { pad_token: '<|end|>', unk_token: null, add_eos_token: true },
    };
    const config = { bos_token_id: 3, eos_token_id: [5, 4], pad_token_id: 0, unk_token_id: 999 };
    expect((await load({ ...map, ...settings }, config)).vocabulary).toMatchObject({
      special: { bos: 3, eos: 4, pad: 4 },
      addBos: false,
      addEos: true,
    });
    expect((await load({ 'generation_config.json': { eos_token_id: [5, 4] } })).vocabulary.special).toEqual({
      eos: 5,
    });
  });

  test('a text ends at whatever token either configuration lists', async () => {
    const generation = { 'generation_config.json': { eos_token_id: [5, 4, 999] } };
    expect((await load(generation, { eos_token_id: 4 })).vocabulary).toMatchObject({
      special: { eos: 4 },
      ends: [4, 5],
    });
    expect((await load({}, { eos_token_id: 4 })).vocabulary).not.toHaveProperty('ends');
  });

  test('the chat template is text, one of several, or a file of its own', async () => {
    const templates = [
      { name: 'tools', template: 'T' },
      { name: 'default', template: 'D' },
    ];
    const settings = (chat_template: unknown) => ({ 'tokenizer_config.json': { chat_template } });
    expect((await load(settings('S'))).vocabulary.chatTemplate).toBe('S');
    expect((await load(settings(templates))).vocabulary.chatTemplate).toBe('D');
    expect((await load({ 'chat_template.jinja': 'J' })).vocabulary.chatTemplate).toBe('J');
    expect((await load({})).vocabulary).not.toHaveProperty('chatTemplate');
  });

  test('cuts or normalisation that llama.cpp does not have are warned about', async () => {
    const strange = { ...tokenizer, normalizer: { type: 'Lowercase' } };
    const whitespace = { type: 'Sequence', pretokenizers: [{ type: 'Whitespace' }, tokenizer.pre_tokenizer] };
    const { vocabulary, warnings } = await load({
      'tokenizer.json': { ...strange, pre_tokenizer: whitespace },
    });
    expect(vocabulary.pre).toBe('default');
    expect(warnings).toEqual([
      "the pre-tokenizer is none that llama.cpp knows: the file will name 'default'",
      'llama.cpp will not normalise text as this tokenizer does',
    ]);
  });
});

/** Where two lists differ; expect's own comparison takes seconds for lists of this length. */
function firstDifference(a: readonly number[], b: readonly number[]): number {
  const length = Math.max(a.length, b.length);
  for (let index = 0; index < length; index++) if (a[index] !== b[index]) return index;
  return -1;
}

/** llama2.c's tokenizer.bin of the same vocabulary. */
function llama2cFile(tokens: readonly string[], scores: readonly number[] = []): Uint8Array {
  const parts: Uint8Array[] = [new Uint8Array(4)];
  for (const [id, token] of tokens.entries()) {
    const text = Buffer.from(id === 1 || id === 2 ? `\n${token}\n` : token.replaceAll('▁', ' '));
    const head = Buffer.alloc(8);
    head.writeFloatLE(scores[id] ?? 0, 0);
    head.writeInt32LE(text.length, 4);
    parts.push(head, text);
  }
  return Buffer.concat(parts);
}
