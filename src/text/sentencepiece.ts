import protobuf from 'protobufjs';
import { TersorError } from '../errors.js';
import { SPACE } from './encode.js';
import { tokenType } from './tokenizer.js';

/** The pieces of a SentencePiece model, by token id. */
export interface Pieces {
  readonly tokens: readonly string[];
  readonly scores: readonly number[];
  /** Values of `tokenType`; SentencePiece numbers them in the same way. */
  readonly types: readonly number[];
  readonly addSpacePrefix: boolean;
  readonly special: Readonly<Partial<Record<'bos' | 'eos' | 'unk' | 'pad', number>>>;
}

// The fields of sentencepiece_model.proto (google/sentencepiece) that matter here, with its defaults.
const { root } = protobuf.parse(
  `
  syntax = "proto2";
  message Piece { optional string piece = 1; optional float score = 2; optional int32 type = 3 [default = 1]; }
  message Trainer {
    optional int32 model_type = 3 [default = 1];
    optional int32 unk_id = 40 [default = 0];
    optional int32 bos_id = 41 [default = 1];
    optional int32 eos_id = 42 [default = 2];
    optional int32 pad_id = 43 [default = -1];
  }
  message Normalizer { optional bool add_dummy_prefix = 3 [default = true]; }
  message Model { repeated Piece pieces = 1; optional Trainer trainer_spec = 2; optional Normalizer normalizer_spec = 3; }
`,
  { keepCase: true },
);
const modelType = root.lookupType('Model');
const BPE = 2;

interface Model {
  pieces: { piece: string; score: number; type: number }[];
  trainer_spec: { model_type: number; unk_id: number; bos_id: number; eos_id: number; pad_id: number } | null;
  normalizer_spec: { add_dummy_prefix: boolean } | null;
}

/**
 * Reads SentencePiece's tokenizer.model.
 * @param file its path, for errors
 * @throws TersorError when it is corrupt or not a BPE model
 */
export function readSentencePiece(bytes: Uint8Array, file: string): Pieces {
  const model = decode(bytes, file);
  const { trainer_spec: trainer, normalizer_spec: normalizer } = model;
  if (trainer && trainer.model_type !== BPE)
    throw new TersorError('this SentencePiece model is not of type BPE, which is the only one supported', {
      code: 'unsupported',
      file,
      remedy: 'use a model whose tokenizer is byte-pair encoding',
    });
  const id = (value: number | undefined) =>
    value === undefined || value < 0 || value >= model.pieces.length ? undefined : value;
  const special = {
    bos: id(trainer?.bos_id ?? 1),
    eos: id(trainer?.eos_id ?? 2),
    unk: id(trainer?.unk_id ?? 0),
    pad: id(trainer?.pad_id),
  };
  return {
    tokens: model.pieces.map(({ piece }) => piece),
    scores: model.pieces.map(({ score }) => score),
    types: model.pieces.map(({ type }) => type),
    addSpacePrefix: normalizer?.add_dummy_prefix ?? true,
    special: defined(special),
  };
}

function decode(bytes: Uint8Array, file: string): Model {
  try {
    // Reads of absent fields give the defaults above through the prototypes of protobufjs.
    const model = modelType.decode(bytes) as unknown as Model;
    if (model.pieces.length > 0) return model;
  } catch (cause) {
    throw notSentencePiece(file, cause);
  }
  throw notSentencePiece(file);
}

const notSentencePiece = (file: string, cause?: unknown) =>
  new TersorError('not a SentencePiece model', { file, remedy: 'get an intact copy of the file', cause });

/**
 * Reads llama2.c's tokenizer.bin: the longest token's length (i32), then score (f32), length (i32) and text of
 * each token (github.com/karpathy/llama2.c, tokenizer.py, `export`). There spaces are spaces, and BOS and EOS
 * lie between line feeds.
 * @param file its path, for errors
 * @throws TersorError when it is corrupt
 */
export function readLlama2c(bytes: Uint8Array, file: string): Pieces {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true }); // U+FEFF is a token
  const tokens: string[] = [];
  const scores: number[] = [];
  for (let at = 4; at < bytes.length; ) {
    const length = at + 8 <= bytes.length ? view.getInt32(at + 4, true) : -1;
    if (length < 0 || at + 8 + length > bytes.length)
      throw new TersorError(`token ${tokens.length} does not fit into the file`, {
        file,
        remedy: 'get an intact copy of the file',
      });
    scores.push(view.getFloat32(at, true));
    tokens.push(utf8.decode(bytes.subarray(at + 8, at + 8 + length)));
    at += 8 + length;
  }
  const special = { unk: 0, bos: 1, eos: 2 };
  return {
    tokens: tokens.map((token, id) => {
      if (id === special.bos) return '<s>';
      if (id === special.eos) return '</s>';
      return token.replaceAll(' ', SPACE);
    }),
    scores,
    types: tokens.map((token, id) => {
      if (id === special.unk) return tokenType.unknown;
      if (id === special.bos || id === special.eos) return tokenType.control;
      return isByteToken(token) ? tokenType.byte : tokenType.normal;
    }),
    addSpacePrefix: true,
    special,
  };
}

/** Whether a token stands for one byte that no other token has. */
export function isByteToken(token: string): boolean {
  return /^<0x[0-9A-F]{2}>$/.test(token);
}

/** The entries of a record that are not undefined. */
export function defined<Key extends string, Value>(
  record: Readonly<Partial<Record<Key, Value | undefined>>>,
): Partial<Record<Key, Value>> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as Partial<
    Record<Key, Value>
  >;
}
