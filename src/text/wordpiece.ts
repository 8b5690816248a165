import { TersorError } from '../errors.js';
import { addedTokens, type HuggingFaceFiles, padded, tokenId, withAdded } from './huggingface.js';
import { createTokenizerAsDefined } from './library.js';
import { defined } from './sentencepiece.js';
import { object } from './special.js';
import { type Tokenizer, tokenType } from './tokenizer.js';

/** Is this the tokenizer.json of an encoder? */
export const isWordPiece = (tokenizer: HuggingFaceFiles['tokenizer']): boolean =>
  object(tokenizer?.model).type === 'WordPiece';

/**
 * WordPiece (Schuster and Nakajima, 2012): words are cut into the longest known pieces from the left. It is run as its
 * tokenizer.json says, normalisation included, because that is what every runtime of encoders does; so special tokens
 * that occur in a text are taken for what they are.
 * @throws TersorError when it lacks the tokens that texts begin and end with, is corrupt, or has more tokens than the
 *   model
 */
export function createWordPiece(files: HuggingFaceFiles): Tokenizer {
  const { file, tokenizer = {}, settings, attempt } = files;
  const vocab: string[] = [];
  for (const [token, id] of Object.entries(object(object(tokenizer.model).vocab)))
    vocab[tokenId(id, file)] = token;
  const additions = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  const added = addedTokens(additions.map((entry) => [object(entry).id, entry]));
  const tokens = padded({ tokens: withAdded(vocab, added) }, files);
  const find = (name: string, usual: string) => {
    const token = settings[name] ?? usual;
    const id = tokens.indexOf(typeof token === 'string' ? token : String(object(token).content));
    return id < 0 ? undefined : id;
  };
  const [bos, eos] = [find('cls_token', '[CLS]'), find('sep_token', '[SEP]')];
  if (bos === undefined || eos === undefined)
    throw new TersorError('it lacks [CLS] or [SEP], which stand around every text of an encoder', {
      file,
      remedy: 'use the tokenizer that belongs to the model',
    });
  const [unk, pad] = [find('unk_token', '[UNK]'), find('pad_token', '[PAD]')];
  const library = attempt(() => createTokenizerAsDefined(tokenizer));
  const control = new Set([...added].flatMap(([id, token]) => (token.special ? [id] : [])));
  return {
    warnings: [],
    vocabulary: {
      kind: 'wordpiece',
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
