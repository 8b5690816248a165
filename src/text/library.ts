import * as tokenizers from '@huggingface/tokenizers';

/** Cuts a text into words. */
export type PreTokenizer = (text: string) => string[];

/** A byte-pair encoder; its ranks are keyed by the JSON of the two parts. */
export interface BytePairModel {
  readonly bpe_ranks: Map<string, number>;
}

/** What is used of @huggingface/tokenizers' Tokenizer. */
export interface LibraryTokenizer {
  pre_tokenizer: PreTokenizer | null;
  readonly model: BytePairModel;
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  decode(ids: readonly number[], options: { clean_up_tokenization_spaces: boolean }): string;
}

/** A token that is cut out of the text before anything else happens to it. */
export interface AddedToken {
  readonly id: number;
  readonly content: string;
  readonly special?: boolean;
  readonly normalized?: boolean;
}

/** The parts of tokenizer.json that make a byte-pair tokenizer; `null` means none. */
export interface Definition {
  readonly added_tokens: readonly AddedToken[];
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly post_processor: unknown;
  readonly decoder: unknown;
  readonly model: {
    readonly type: 'BPE';
    readonly vocab: Readonly<Record<string, number>>;
    readonly merges: readonly (readonly [string, string])[];
    readonly byte_fallback?: boolean;
    readonly ignore_merges?: boolean;
  };
}

// The package's declarations refer to each other without file extensions, which modules do not resolve.
const { Tokenizer } = tokenizers as unknown as {
  Tokenizer: new (definition: Definition, config: object) => LibraryTokenizer;
};

/** The library's tokenizer for a whole tokenizer.json, of whatever kind. */
export function createTokenizerAsDefined(json: Readonly<Record<string, unknown>>): LibraryTokenizer {
  checkPatterns([json.normalizer, json.pre_tokenizer, json.decoder]);
  return new Tokenizer(json as unknown as Definition, { clean_up_tokenization_spaces: false });
}

/** The library's tokenizer for a definition. */
export function createLibraryTokenizer(definition: Definition): LibraryTokenizer {
  checkPatterns([definition.normalizer, definition.pre_tokenizer, definition.decoder]);
  const cuts = allDigits(definition.pre_tokenizer);
  return new Tokenizer({ ...definition, pre_tokenizer: cuts }, { clean_up_tokenization_spaces: false });
}

/** Only the cutting of a tokenizer: what tokenizer.json has under `pre_tokenizer`. */
export function createPreTokenizer(definition: unknown): PreTokenizer {
  const { pre_tokenizer } = createLibraryTokenizer({
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: definition,
    post_processor: null,
    decoder: null,
    model: { type: 'BPE', vocab: {}, merges: [] },
  });
  return pre_tokenizer ?? ((text) => [text]);
}

/** The library takes only 0 to 9 for digits; in tokenizer.json the word means every numeric character. */
function allDigits(definition: unknown): unknown {
  const { type, pretokenizers, individual_digits } = (definition ?? {}) as Readonly<Record<string, unknown>>;
  if (type === 'Sequence' && Array.isArray(pretokenizers))
    return { type, pretokenizers: pretokenizers.map(allDigits) };
  if (type !== 'Digits') return definition;
  const pattern = { Regex: individual_digits === true ? '\\p{N}' : '\\p{N}+' };
  return { type: 'Split', pattern, behavior: 'Isolated', invert: false };
}

/** The library overlooks what it does not take for a pattern, but for a line on the console. */
function checkPatterns(part: unknown): void {
  if (typeof part !== 'object' || part === null) return;
  const { pattern } = part as { readonly pattern?: unknown };
  if (pattern !== undefined) {
    const { Regex, String: text } = (pattern ?? {}) as Readonly<Record<string, unknown>>;
    if (typeof (Regex ?? text) !== 'string') throw new Error('a pattern is neither String nor Regex');
  }
  Object.values(part).forEach(checkPatterns);
}
