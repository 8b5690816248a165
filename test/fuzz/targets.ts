import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import protobuf from 'protobufjs';
import { blockTensors } from '../../src/architecture/architecture.js';
import { openModel } from '../../src/architecture/model.js';
import type { Checkpoint } from '../../src/checkpoint/checkpoint.js';
import { readImatrix } from '../../src/checkpoint/imatrix.js';
import { openCheckpoint } from '../../src/checkpoint/open.js';
import * as g from '../../src/graph/build.js';
import type { Kernels } from '../../src/kernels/kernels.js';
import { keyOf, openStore } from '../../src/pipeline/context/store.js';
import { readRecipe, recipeFormat } from '../../src/pipeline/prepare/recipe.js';
import { loadTokenizer } from '../../src/text/load.js';
import { bytesOf, f32, type RawTensor, safetensors } from '../checkpoint/files.js';
import { micros, writeMicro } from '../fixtures/micro.js';
import { writeMicroBert } from '../fixtures/micro-bert.js';
import { tinyLlama } from '../fixtures/tiny-llama.js';
import { uniform } from '../reference/random.js';
import { type Mutation, mutateBytes, mutateJson } from './mutations.js';

/** A reader under attack: what it reads when all is well, how that is corrupt, and how it is read. */
export interface Target {
  readonly name: string;
  /** The file that is corrupt. */
  readonly file: string;
  /** What may lie there when all is well. */
  readonly intact: readonly Uint8Array[];
  /** Intact files beside it. */
  readonly beside: Readonly<Record<string, Uint8Array>>;
  readonly mutate: Mutation;
  /** Corruption is no error: the file counts as absent. */
  readonly forgiving?: true;
  /** Reads everything that a user's command would; may throw TersorErrors and nothing else. */
  read(folder: string, kernels: Kernels): Promise<void>;
}

const hidden = 32;
const vocabulary = 300;
const config = {
  model_type: 'llama',
  hidden_size: hidden,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: vocabulary,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  rope_scaling: { type: 'linear', factor: 2 },
  tie_word_embeddings: true,
};

/** Files as tersor wrote them once; a reader that refuses them is broken, and so is the test. */
const kept = (name: string) => new Uint8Array(readFileSync(new URL(`intact/${name}`, import.meta.url)));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const shapes: Readonly<Record<string, readonly number[]>> = Object.fromEntries([
  ['model.embed_tokens.weight', [vocabulary, hidden]],
  ['model.norm.weight', [hidden]],
  ...[0, 1].flatMap((block) =>
    Object.entries({
      'input_layernorm.weight': [hidden],
      'self_attn.q_proj.weight': [hidden, hidden],
      'self_attn.k_proj.weight': [hidden / 2, hidden],
      'self_attn.v_proj.weight': [hidden / 2, hidden],
      'self_attn.o_proj.weight': [hidden, hidden],
      'post_attention_layernorm.weight': [hidden],
      'mlp.gate_proj.weight': [64, hidden],
      'mlp.up_proj.weight': [64, hidden],
      'mlp.down_proj.weight': [hidden, 64],
    }).map(([name, shape]) => [`model.layers.${block}.${name}`, shape]),
  ),
]);

/** Tensors of every storage type, with finite values. */
function weights(): Record<string, RawTensor> {
  const random = uniform(1);
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape], index) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const values = Float32Array.from({ length: count }, () => random() - 0.5);
      if (index % 3 === 1) {
        const halves = Uint16Array.from(values, () => 0x3c00 + Math.floor(random() * 64));
        return [name, { dtype: index % 2 ? 'BF16' : 'F16', shape, data: bytesOf(halves) }];
      }
      return [name, f32(shape, values)];
    }),
  );
}

function llama2c(): Uint8Array {
  const [size, layers, heads, tokens, context, ffn] = [16, 2, 2, 40, 16, 24];
  const count =
    tokens * size + layers * (2 * size + 4 * size * size + 3 * size * ffn) + size + context * (size / heads);
  const bytes = new Uint8Array(28 + 4 * count);
  const view = new DataView(bytes.buffer);
  [size, ffn, layers, heads, heads, tokens, context].forEach((value, at) => {
    view.setInt32(4 * at, value, true);
  });
  const random = uniform(2);
  for (let at = 28; at < bytes.length; at += 4) view.setFloat32(at, random() - 0.5, true);
  return bytes;
}

/** Two tokenizers: byte-level with its regular expressions, and SentencePiece's. */
function tokenizers(): readonly Uint8Array[] {
  const symbols = Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(byte < 33 ? 256 + byte : byte),
  );
  const pieces = ['<unk>', '<s>', '</s>', '▁', 'a', 'b', 'ab', '▁ab', '▁a'];
  const added = { id: 258, content: '<|end|>', special: true, normalized: false, single_word: false };
  const byteLevel = {
    version: '1.0',
    added_tokens: [added],
    normalizer: { type: 'NFC' },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: '\\p{N}{1,3}| ?\\p{L}+|\\s+' },
          behavior: 'Isolated',
          invert: false,
        },
        { type: 'Digits', individual_digits: true },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<|end|>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      special_tokens: { '<|end|>': { id: '<|end|>', ids: [258], tokens: ['<|end|>'] } },
    },
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: Object.fromEntries([...symbols, 'ab', 'abc'].map((token, id) => [token, id])),
      merges: ['a b', ['ab', 'c']],
    },
  };
  const sentencePiece = {
    added_tokens: pieces.slice(0, 3).map((content, id) => ({ id, content, special: true })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Prepend', prepend: '▁' },
        { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      ],
    },
    pre_tokenizer: null,
    model: {
      type: 'BPE',
      byte_fallback: true,
      unk_token: '<unk>',
      vocab: Object.fromEntries(pieces.map((token, id) => [token, id])),
      merges: ['a b', '▁ ab', '▁ a'],
    },
  };
  return [json(byteLevel), json(sentencePiece)];
}

/** SentencePiece's own file: a message of pieces (text, score, type), its trainer's and its normaliser's settings. */
function sentencePieceModel(): Uint8Array {
  const { root } = protobuf.parse(
    `syntax = "proto2";
    message Piece { optional string piece = 1; optional float score = 2; optional int32 type = 3; }
    message Trainer { optional int32 model_type = 3; optional int32 bos_id = 41; optional int32 eos_id = 42; }
    message Normalizer { optional bool add_dummy_prefix = 3; }
    message Model { repeated Piece pieces = 1; optional Trainer trainer_spec = 2; optional Normalizer normalizer_spec = 3; }`,
    { keepCase: true },
  );
  const pieces = [...specialPieces, ...byteTokens, '▁', 'a', 'b', 'ab', '▁ab', '▁a'];
  return root
    .lookupType('Model')
    .encode({
      pieces: pieces.map((piece, id) => ({
        piece,
        score: -id,
        type: id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1,
      })),
      trainer_spec: { model_type: 2, bos_id: 1, eos_id: 2 },
      normalizer_spec: { add_dummy_prefix: true },
    })
    .finish();
}

/** llama2.c's tokenizer.bin: the longest length, then score, length and bytes of every token. */
function llama2cTokenizer(): Uint8Array {
  const tokens = ['<unk>', '\n<s>\n', '\n</s>\n', ...byteTokens, ' ', 'a', 'b', 'ab', ' ab', ' a'];
  const parts = tokens.map((token, id) => {
    const text = Buffer.from(token);
    const head = Buffer.alloc(8);
    head.writeFloatLE(-id, 0);
    head.writeInt32LE(text.length, 4);
    return Buffer.concat([head, text]);
  });
  return new Uint8Array(Buffer.concat([Buffer.from([8, 0, 0, 0]), ...parts]));
}

const specialPieces = ['<unk>', '<s>', '</s>'];
const byteTokens = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
);

/** Folders of other families: the configuration, the weights and a tokenizer. */
async function family(name: 'gpt2' | 'bert'): Promise<Readonly<Record<string, Uint8Array>>> {
  const folder = mkdtempSync(join(tmpdir(), 'tersor-fuzz-'));
  try {
    if (name === 'bert') await writeMicroBert(folder, 1);
    else await writeMicro(folder, micros.gpt2, 1);
    const files = ['config.json', 'model.safetensors', 'tokenizer.json'];
    return Object.fromEntries(files.map((file) => [file, new Uint8Array(readFileSync(join(folder, file)))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Every tensor once and the graph of every part, as compressing would read and build them. */
async function readAll(checkpoint: Checkpoint): Promise<void> {
  const { architecture, readBlock } = await openModel(checkpoint);
  const batch = { sequences: 1, length: Math.min(4, architecture.context) };
  const embedded = architecture.embed(g.input('tokens', [batch.length], 'i64'), batch);
  architecture.head(embedded);
  for (let block = 0; block < architecture.layers; block++) {
    architecture.block(block, embedded, batch);
    if (blockTensors(architecture, block).length > 0) await readBlock(block);
  }
  await readBlock(undefined);
}

async function readModel(path: string, kernels: Kernels): Promise<void> {
  const checkpoint = await openCheckpoint(path, { kernels });
  await readAll(checkpoint).finally(() => checkpoint.close());
}

const words =
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa! Once upon a time, 12345 cats\tand  dogs \n\n lived <|end|> in naïve 東京 😀.'.repeat(
    4,
  );

async function readTokenizer(folder: string, kernels: Kernels): Promise<void> {
  const checkpoint = await openCheckpoint(folder, { kernels });
  try {
    const tokenizer = await loadTokenizer(checkpoint);
    tokenizer.decode(tokenizer.encode(words));
  } finally {
    await checkpoint.close();
  }
}

const model = safetensors(weights());
const companions = { 'config.json': json(config), 'model.safetensors': model };
const recipe = {
  format: recipeFormat,
  model: 'model',
  output: 'gguf',
  recipe: {
    solver: 'gptq',
    calibrateOn: 'quantized',
    context: 64,
    tokens: 256,
    options: { damping: 0.01 },
    seed: 1,
  },
  types: { 'blk.0.attn_q.weight': 'q4_0', 'token_embd.weight': 'q8_0' },
};
const stored = keyOf('fuzz');
const families = { gpt2: await family('gpt2'), bert: await family('bert') };
const inFamily = (name: keyof typeof families, file: string): Pick<Target, 'file' | 'intact' | 'beside'> => {
  const { [file]: intact = new Uint8Array(), ...beside } = families[name];
  return { file, intact: [intact], beside };
};

export const targets: readonly Target[] = [
  {
    name: 'safetensors',
    file: 'model.safetensors',
    intact: [model],
    beside: { 'config.json': json(config) },
    mutate: mutateBytes,
    read: readModel,
  },
  ...['tersor', 'gptq', 'ct'].map(
    (kind): Target => ({
      name: `safetensors, ${kind}`,
      file: 'model.safetensors',
      intact: [kept(`${kind}/model.safetensors`)],
      beside: { 'config.json': kept(`${kind}/config.json`) },
      mutate: mutateBytes,
      read: readModel,
    }),
  ),
  ...['gptq', 'ct'].map(
    (kind): Target => ({
      name: `config, ${kind}`,
      file: 'config.json',
      intact: [kept(`${kind}/config.json`)],
      beside: { 'model.safetensors': kept(`${kind}/model.safetensors`) },
      mutate: mutateJson,
      read: readModel,
    }),
  ),
  {
    name: 'onnx',
    file: 'onnx/model_q4.onnx',
    intact: [kept('onnx/model_q4.onnx')],
    beside: { 'config.json': kept('onnx/config.json') },
    mutate: mutateBytes,
    read: readModel,
  },
  {
    name: 'stack',
    file: 'model.stack',
    intact: [kept('model.stack')],
    beside: {},
    mutate: mutateBytes,
    async read(folder, kernels) {
      const path = join(folder, 'model.stack');
      await readTokenizer(path, kernels);
      await readModel(path, kernels);
    },
  },
  ...['imatrix.gguf', 'imatrix.dat'].map(
    (file): Target => ({
      name: file,
      file,
      intact: [kept(file)],
      beside: {},
      mutate: mutateBytes,
      read: async (folder, kernels) => void (await readImatrix(join(folder, file), kernels)),
    }),
  ),
  {
    name: 'index',
    file: 'model.safetensors.index.json',
    intact: [
      json({ weight_map: Object.fromEntries(Object.keys(shapes).map((name) => [name, 'a.safetensors'])) }),
    ],
    beside: { 'config.json': json(config), 'a.safetensors': model },
    mutate: mutateJson,
    read: readModel,
  },
  {
    name: 'gguf',
    file: 'model.gguf',
    intact: [tinyLlama()],
    beside: {},
    mutate: mutateBytes,
    async read(folder, kernels) {
      const checkpoint = await openCheckpoint(join(folder, 'model.gguf'), { kernels });
      try {
        await readAll(checkpoint);
        const tokenizer = await loadTokenizer(checkpoint);
        tokenizer.decode(tokenizer.encode(words));
      } finally {
        await checkpoint.close();
      }
    },
  },
  {
    name: 'llama2c',
    file: 'model.bin',
    intact: [llama2c()],
    beside: {},
    mutate: mutateBytes,
    read: (folder, kernels) => readModel(join(folder, 'model.bin'), kernels),
  },
  {
    name: 'config',
    file: 'config.json',
    intact: [json(config)],
    beside: { 'model.safetensors': model },
    mutate: mutateJson,
    read: readModel,
  },
  ...(['gpt2', 'bert'] as const).map(
    (name): Target => ({
      name: `config, ${name}`,
      ...inFamily(name, 'config.json'),
      mutate: mutateJson,
      read: readModel,
    }),
  ),
  {
    name: 'pooling',
    file: '1_Pooling/config.json',
    intact: [
      json({ word_embedding_dimension: 64, pooling_mode_cls_token: true, pooling_mode_mean_tokens: false }),
    ],
    beside: families.bert,
    mutate: mutateJson,
    read: readModel,
  },
  {
    name: 'tokenizer, bert',
    ...inFamily('bert', 'tokenizer.json'),
    mutate: mutateJson,
    read: readTokenizer,
  },
  {
    name: 'tokenizer.model',
    file: 'tokenizer.model',
    intact: [sentencePieceModel()],
    beside: companions,
    mutate: mutateBytes,
    read: readTokenizer,
  },
  {
    name: 'tokenizer.bin',
    file: 'tokenizer.bin',
    intact: [llama2cTokenizer()],
    beside: companions,
    mutate: mutateBytes,
    read: readTokenizer,
  },
  {
    name: 'tokenizer',
    file: 'tokenizer.json',
    intact: tokenizers(),
    beside: companions,
    mutate: mutateJson,
    read: readTokenizer,
  },
  {
    name: 'tokenizer settings',
    file: 'tokenizer_config.json',
    intact: [
      json({
        bos_token: '<s>',
        eos_token: { content: '</s>' },
        add_bos_token: true,
        chat_template: "{% for message in messages %}{{ message['content'] }}{% endfor %}",
        added_tokens_decoder: { 258: { content: '<|end|>', special: true } },
      }),
    ],
    beside: { ...companions, 'tokenizer.json': tokenizers()[0] ?? new Uint8Array() },
    mutate: mutateJson,
    read: readTokenizer,
  },
  ...['special_tokens_map.json', 'generation_config.json'].map(
    (file): Target => ({
      name: file,
      file,
      intact: [
        json({ bos_token: '<s>', eos_token: { content: '</s>' }, eos_token_id: [2, 258], bos_token_id: 1 }),
      ],
      beside: { ...companions, 'tokenizer.json': tokenizers()[0] ?? new Uint8Array() },
      mutate: mutateJson,
      forgiving: true,
      read: readTokenizer,
    }),
  ),
  {
    name: 'recipe',
    file: 'recipe.json',
    intact: [json(recipe)],
    beside: {},
    mutate: mutateJson,
    read: async (folder) => void (await readRecipe(join(folder, 'recipe.json'))),
  },
  {
    name: 'store',
    file: stored,
    intact: [kept('store-entry.bin')],
    beside: {},
    mutate: mutateBytes,
    forgiving: true,
    async read(folder) {
      const value = await (await openStore(folder)).get(stored);
      if (value && Buffer.from(value).toString() !== 'a result')
        throw new Error('a corrupt entry was believed');
    },
  },
];

/** Puts a case into its folder. */
export async function place(target: Target, folder: string, content: Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, target.file)), { recursive: true });
  for (const [name, bytes] of Object.entries(target.beside)) await writeFile(join(folder, name), bytes);
  await writeFile(join(folder, target.file), content);
}
