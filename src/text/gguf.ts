import { TersorError } from '../errors.js';
import { addsBosByDefault, defaultPre, findCuts } from './pretokenizer.js';
import { defined } from './sentencepiece.js';
import { tokenType, type Vocabulary } from './tokenizer.js';

/** Tokens that end a turn or a message, besides the one that ends a text. */
const endKeys = ['tokenizer.ggml.eot_token_id', 'tokenizer.ggml.eom_token_id'];

const specialKeys = {
  bos: 'tokenizer.ggml.bos_token_id',
  eos: 'tokenizer.ggml.eos_token_id',
  unk: 'tokenizer.ggml.unknown_token_id',
  sep: 'tokenizer.ggml.seperator_token_id', // spelled so in the format
  pad: 'tokenizer.ggml.padding_token_id',
} as const;

/**
 * The vocabulary that the metadata of a GGUF hold, with llama.cpp's defaults for what they leave out
 * (llama-vocab.cpp, `llama_vocab::impl::load`).
 * @param file for errors
 * @throws TersorError when the tokenizer is of another kind or incomplete
 */
export function vocabularyFromGguf(
  metadata: Readonly<Record<string, unknown>>,
  file: string,
): { vocabulary: Vocabulary; warnings: string[] } {
  const model = metadata['tokenizer.ggml.model'];
  if (model !== 'llama' && model !== 'gpt2')
    throw new TersorError(`its tokenizer is of the kind ${JSON.stringify(model)}, which is not supported`, {
      code: 'unsupported',
      file,
      remedy: 'use a model with a SentencePiece BPE (llama) or byte-level BPE (gpt2) tokenizer',
    });
  const strings = (key: string) => array(metadata, key, file).map(String);
  const numbers = (key: string) => array(metadata, key, file).map(Number);
  const tokens = strings('tokenizer.ggml.tokens');
  const kind = model === 'llama' ? 'spm' : 'bpe';
  const pre = kind === 'bpe' ? String(metadata['tokenizer.ggml.pre'] ?? defaultPre) : undefined;
  const fallback = kind === 'spm' ? { bos: 1, eos: 2, unk: 0 } : { bos: 11, eos: 11 };
  const special = defined({ ...fallback, ...specialIds(metadata) });
  for (const [name, id] of Object.entries(special))
    if (!(id < tokens.length)) delete special[name as keyof typeof specialKeys];
  const listed = [special.eos, ...endKeys.map((key) => metadata[key])];
  const ends = [...new Set(listed)].filter(
    (id): id is number => typeof id === 'number' && id < tokens.length,
  );
  const chatTemplate = metadata['tokenizer.chat_template'];
  const vocabulary: Vocabulary = {
    kind,
    tokens,
    types: metadata['tokenizer.ggml.token_type']
      ? numbers('tokenizer.ggml.token_type')
      : tokens.map(() => tokenType.normal),
    special,
    ...(ends.length > 1 && { ends }),
    addBos: boolean(metadata['tokenizer.ggml.add_bos_token']) ?? (kind === 'spm' || addsBosByDefault(pre)),
    addEos: boolean(metadata['tokenizer.ggml.add_eos_token']) ?? false,
    ...(kind === 'spm'
      ? {
          scores: metadata['tokenizer.ggml.scores'] ? numbers('tokenizer.ggml.scores') : tokens.map(() => 0),
          addSpacePrefix: boolean(metadata['tokenizer.ggml.add_space_prefix']) ?? true,
        }
      : { merges: strings('tokenizer.ggml.merges'), pre: pre ?? defaultPre }),
    ...(typeof chatTemplate === 'string' && { chatTemplate }),
  };
  const unknownPre = pre !== undefined && !findCuts(pre);
  return {
    vocabulary,
    warnings: unknownPre
      ? [`the pre-tokenizer ${pre} is not known here: text is cut into words as for '${defaultPre}'`]
      : [],
  };
}

function specialIds(metadata: Readonly<Record<string, unknown>>) {
  const id = (key: string) => {
    const value = metadata[key];
    return typeof value === 'number' ? value : undefined;
  };
  return defined({
    bos: id(specialKeys.bos),
    eos: id(specialKeys.eos),
    unk: id(specialKeys.unk),
    sep: id(specialKeys.sep),
    pad: id(specialKeys.pad),
  });
}

function array(metadata: Readonly<Record<string, unknown>>, key: string, file: string): unknown[] {
  const value = metadata[key];
  if (Array.isArray(value)) return value;
  if (ArrayBuffer.isView(value)) return Array.from(value as Float32Array);
  throw new TersorError(`its tokenizer lacks ${key}`, { file, remedy: 'convert the model again' });
}

function boolean(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}
