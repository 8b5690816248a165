import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Checkpoint } from '../checkpoint/checkpoint.js';
import { TersorError } from '../errors.js';
import { createTokenizer } from './encode.js';
import { createEncoderTokenizer, encoderKind } from './encoder-tokenizer.js';
import { vocabularyFromGguf } from './gguf.js';
import { type HuggingFaceFiles, readHuggingFace, type Source } from './huggingface.js';
import { limited } from './limited.js';
import { readLlama2c, readSentencePiece } from './sentencepiece.js';
import { object } from './special.js';
import type { Tokenizer } from './tokenizer.js';

/** Files that hold a tokenizer, the most informative first. */
const tokenizerFiles = ['tokenizer.json', 'tokenizer.model', 'tokenizer.bin'] as const;

/**
 * The tokenizer of a model: from a GGUF's metadata, or from tokenizer.json, tokenizer.model or llama2.c's
 * tokenizer.bin beside its weights.
 * @param options.folder where tokenizer files lie, when not with the weights
 * @throws TersorError when there is none, or it is corrupt or of a kind that is not supported
 */
export async function loadTokenizer(
  checkpoint: Checkpoint,
  options: { readonly folder?: string } = {},
): Promise<Tokenizer> {
  const inside = checkpoint.naming === 'gguf' && options.folder === undefined;
  const source: Source | Tokenizer = inside
    ? vocabularyFromGguf(checkpoint.metadata, checkpoint.path)
    : await fromFiles(options.folder ?? checkpoint.folder, checkpoint, options.folder === undefined);
  const tokenizer =
    'encode' in source ? source : createTokenizer(source.vocabulary, source.warnings, source.own);
  limited(options.folder ?? checkpoint.path, () => tokenizer.decode(tokenizer.encode(stress)));
  return tokenizer;
}

/** On one of these runs nearly every regular expression that backtracks without end does so. */
const stress = ['a', 'A', '1', ' ', '\n', '.', '東', 'aA', 'a '].map((run) => run.repeat(50)).join('\n');

/** @param own whether files inside the checkpoint count */
async function fromFiles(folder: string, checkpoint: Checkpoint, own: boolean): Promise<Source | Tokenizer> {
  const path = (name: string) => join(folder, name);
  const companions = own ? checkpoint.companions : undefined;
  const bytes = async (name: string) => {
    const inside = companions?.get(name);
    return companions ? inside && Buffer.from(inside) : optional(path(name));
  };
  const json = async (name: string) => parse(await bytes(name), path(name));
  const [tokenizer, model, legacy] = await Promise.all(tokenizerFiles.map(bytes));
  if (!tokenizer && !model && !legacy)
    throw new TersorError(`there is no tokenizer (${tokenizerFiles.join(', ')})`, {
      code: 'not-found',
      file: folder,
      remedy: 'put the tokenizer’s files beside the weights',
    });
  const generation = await json('generation_config.json');
  // Each of the two may list tokens that end a text which the other one leaves out.
  const ends = [checkpoint.metadata.eos_token_id, generation?.eos_token_id].flat();
  const config: Readonly<Record<string, unknown>> = {
    ...generation,
    ...checkpoint.metadata,
    eos_token_id: ends,
  };
  const settings = {
    ...(await json('special_tokens_map.json')),
    ...(await json('tokenizer_config.json')),
  };
  const file = path(tokenizer ? 'tokenizer.json' : model ? 'tokenizer.model' : 'tokenizer.bin');
  const rows = config.vocab_size ?? object(config.text_config).vocab_size;
  const files: HuggingFaceFiles = {
    file,
    tokenizer: tokenizer && parse(tokenizer, file),
    pieces: model
      ? sentencePiece(model, path('tokenizer.model'), tokenizer !== undefined)
      : tokenizer || !legacy
        ? undefined
        : readLlama2c(legacy, file),
    settings,
    config,
    chatTemplate: (await bytes('chat_template.jinja'))?.toString(),
    vocabularySize: typeof rows === 'number' ? rows : undefined,
    attempt: (work) => limited(file, work),
  };
  const kind = encoderKind(files.tokenizer);
  return kind ? createEncoderTokenizer(kind, files) : readHuggingFace(files);
}

/** Beside a tokenizer.json the model file only adds scores, and some are of other formats under this name. */
function sentencePiece(bytes: Uint8Array, file: string, dispensable: boolean) {
  try {
    return readSentencePiece(bytes, file);
  } catch (error) {
    if (dispensable && error instanceof TersorError) return undefined;
    throw error;
  }
}

async function optional(path: string): Promise<Buffer | undefined> {
  return readFile(path).catch((cause) => {
    if (cause.code === 'ENOENT') return undefined;
    throw new TersorError(`cannot be read (${cause.code})`, {
      file: path,
      remedy: 'check its permissions',
      cause,
    });
  });
}

/** Keeps every key, unlike the reading of configurations: `__proto__` may be a token. */
function parse(bytes: Buffer | undefined, file: string): Readonly<Record<string, unknown>> | undefined {
  if (!bytes) return undefined;
  try {
    return object(JSON.parse(bytes.toString()));
  } catch (cause) {
    throw new TersorError('is not valid JSON', { file, remedy: 'get an intact copy of the file', cause });
  }
}
