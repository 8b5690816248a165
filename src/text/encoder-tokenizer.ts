import { TersorError } from '../errors.js';
import { addedTokens, type HuggingFaceFiles, padded, tokenId, withAdded } from './huggingface.js';
import { createTokenizerAsDefined } from './library.js';
import { defined } from './sentencepiece.js';
import { object } from './special.js';
import { type Tokenizer, tokenType } from './tokenizer.js';

const kinds = { WordPiece: 'wordpiece', Unigram: 'unigram' } as const;

/** Which of the kinds of encoders' tokenizers a tokenizer.json is. */
export const encoderKind = (tokenizer: HuggingFaceFiles['tokenizer']): 'wordpiece' | 'unigram' | undefined =>
  new Map<unknown, 'wordpiece' | 'unigram'>(Object.entries(kinds)).get(object(tokenizer?.model).type);

/**
 * WordPiece (Schuster and Nakajima, 2012): words are cut into the longest known pieces from the left; or Unigram (Kudo,
 * 2018): a text is cut into the likeliest pieces. It is run as its tokenizer.json says, normalisation included, because that is what every runtime of encoders does; so special tokens
 * that occur in a text are taken for what they are.
 * @throws TersorError when it lacks the tokens that texts begin and end with, is corrupt, or has more tokens than the
 *   model
 */
export function createEncoderTokenizer(kind: 'wordpiece' | 'unigram', files: HuggingFaceFiles): Tokenizer {
  const { file, tokenizer = {}, settings, attempt } = files;
  const vocab = kind === 'wordpiece' ? wordPieces(tokenizer, file) : unigrams(tokenizer);
  const additions = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  const added = addedTokens(additions.map((entry) => [object(entry).id, entry]));
  const tokens = padded({ tokens: withAdded(vocab, added) }, files);
  const find = (name: string, usual: string) => {
    const token = settings[name] ?? usual;
    const id = tokens.indexOf(typeof token === 'string' ? token : String(object(token).content));
    return id < 0 ? undefined : id;
  };
  const usual =
    kind === 'wordpiece' ? ['[CLS]', '[SEP]', '[UNK]', '[PAD]'] : ['<s>', '</s>', '<unk>', '<pad>'];
  const [bos, eos, unk, pad] = ['cls_token', 'sep_token', 'unk_token', 'pad_token'].map((name, at) =>
    find(name, usual[at] ?? ''),
  );
  if (bos === undefined || eos === undefined)
    throw new TersorError(
      `it lacks ${usual[0]} or ${usual[1]}, which stand around every text of an encoder`,
      {
        file,
        remedy: 'use the tokenizer that belongs to the model',
      },
    );
  const library = attempt(() => createTokenizerAsDefined(tokenizer));
  const control = new Set([...added].flatMap(([id, token]) => (token.special ? [id] : [])));
  return {
    warnings: [],
    vocabulary: {
      kind,
      tokens,
      types: tokens.map((_, id) =>
        id === unk ? tokenType.unknown : control.has(id) ? tokenType.control : tokenType.normal,
      ),
      special: defined({ bos, eos, sep: eos, unk, pad }),
      addBos: true,
      addEos: true,
    },
    encode: (text) => library.encode(text, { add_special_tokens: false }).ids,
    decode(ids) {
      const visible = ids.filter((id) => !control.has(id));
      // The library refuses an empty list.
      return visible.length === 0 ? '' : library.decode(visible, { clean_up_tokenization_spaces: false });
    },
  };
}

/** Tokens by id. */
function wordPieces(tokenizer: object, file: string): string[] {
  const vocab: string[] = [];
  for (const [token, id] of Object.entries(object(modelOf(tokenizer).vocab)))
    vocab[tokenId(id, file)] = token;
  return vocab;
}

/** Tokens in order; the file has each with the logarithm of its probability. */
function unigrams(tokenizer: object): string[] {
  const { vocab } = modelOf(tokenizer);
  return Array.isArray(vocab) ? vocab.map((entry) => String([entry].flat()[0])) : [];
}

const modelOf = (tokenizer: object) => object((tokenizer as { readonly model?: unknown }).model);
