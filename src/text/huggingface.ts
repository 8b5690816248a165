import { TersorError } from '../errors.js';
import { type OwnCuts, SPACE } from './encode.js';
import { createPreTokenizer } from './library.js';
import { defaultPre, recognise } from './pretokenizer.js';
import { isByteToken, type Pieces } from './sentencepiece.js';
import { object, readChatTemplate, readSpecial } from './special.js';
import { tokenType, type Vocabulary } from './tokenizer.js';

type Json = Readonly<Record<string, unknown>>;

/** The files that together say what a Hugging Face tokenizer does. */
export interface HuggingFaceFiles {
  /** The path of tokenizer.json, or of the file that `pieces` comes from when there is none; for errors. */
  readonly file: string;
  /** tokenizer.json */
  readonly tokenizer: Json | undefined;
  /** tokenizer.model, which has the scores that tokenizer.json lacks; or all there is. */
  readonly pieces: Pieces | undefined;
  /** tokenizer_config.json over special_tokens_map.json */
  readonly settings: Json;
  /** config.json over generation_config.json */
  readonly config: Json;
  /** chat_template.jinja */
  readonly chatTemplate: string | undefined;
  /** Rows of the embedding: at least as many as there are tokens. */
  readonly vocabularySize: number | undefined;
  /** Runs what the files define, and says so when that fails or takes too long. */
  readonly attempt: <T>(work: () => T) => T;
}

/** A vocabulary, and what else encoding needs. */
export interface Source {
  readonly vocabulary: Vocabulary;
  readonly warnings: readonly string[];
  readonly own?: OwnCuts;
}

/** Tokens outside the model proper. */
export type Added = ReadonlyMap<number, { readonly content: string; readonly special: boolean }>;
type Merge = readonly [left: string, right: string];

/** What tokenizer.json or tokenizer.model hold; `tokens` has holes where an id stands for nothing. */
interface Content {
  readonly kind: Vocabulary['kind'];
  readonly tokens: readonly (string | undefined)[];
  readonly added: Added;
  readonly merges: readonly Merge[];
  readonly pieces?: Pieces | undefined;
  readonly pre?: string;
  readonly own?: OwnCuts;
  readonly addSpacePrefix: boolean;
  readonly warnings: readonly string[];
}

/** Ids beyond any vocabulary come from corrupt files and must not make arrays of their size. */
const MAX_TOKENS = 2 ** 20;
/** What the converter of llama.cpp gives tokens that are never merged. */
const NEVER_MERGED = -1000;

/**
 * A vocabulary in GGUF's terms from the files beside a Hugging Face model, as llama.cpp's converter makes it
 * (conversion/base.py), but for two things: without tokenizer.model scores follow the order of the merges (the
 * converter gives all tokens the same); and the pre-tokenizer is recognised by its cuts, not by a hash.
 * @throws TersorError when the tokenizer is of another kind, corrupt, or has more tokens than the model
 */
export function readHuggingFace(files: HuggingFaceFiles): Source {
  const all = files.tokenizer ? tokenizerContent(files.tokenizer, files) : piecesContent(files);
  const content = withoutUnembedded(all, files);
  const { kind, added, merges, pieces, own, addSpacePrefix, warnings } = content;
  const tokens = padded(content, files);
  const unknown = tokens.indexOf(String(object(files.tokenizer?.model).unk_token ?? '<unk>'));
  const asked = readSpecial({
    ...files,
    kind,
    tokens,
    postProcessor: files.tokenizer?.post_processor,
    fallback: {
      ...(unknown >= 0 && { unk: unknown }),
      ...pieces?.special,
    },
  });
  const types = tokens.map((token, id) => {
    const addition = added.get(id);
    if (content.tokens[id] === undefined) return tokenType.unused;
    if (kind === 'spm' && id === asked.special.unk) return tokenType.unknown;
    if (addition) return addition.special ? tokenType.control : tokenType.userDefined;
    if (pieces?.types[id] !== undefined) return pieces.types[id];
    return kind === 'spm' && isByteToken(token) ? tokenType.byte : tokenType.normal;
  });
  const chatTemplate = readChatTemplate(files.settings) ?? files.chatTemplate;
  return {
    warnings,
    ...(own && { own }),
    vocabulary: {
      kind,
      tokens,
      types,
      ...(kind === 'spm'
        ? { scores: scores(tokens, content), addSpacePrefix }
        : { merges: merges.map(joinMerge), pre: content.pre ?? defaultPre }),
      ...asked,
      ...(chatTemplate !== undefined && { chatTemplate }),
    },
  };
}

/**
 * Without the added tokens that the embedding has no row for, such as Gemma 3's placeholder for images in models of text
 * alone: no model can take them in.
 */
function withoutUnembedded(content: Content, { vocabularySize }: HuggingFaceFiles): Content {
  const { added, tokens, warnings } = content;
  const size = vocabularySize ?? tokens.length;
  const beyond = [...added].filter(([id]) => id >= size);
  const others = tokens.some((token, id) => id >= size && token !== undefined && !added.has(id));
  if (beyond.length === 0 || others) return content;
  const names = beyond.map(([, { content: token }]) => token).join(', ');
  return {
    ...content,
    tokens: tokens.slice(0, size),
    added: new Map([...added].filter(([id]) => id < size)),
    warnings: [...warnings, `added tokens that the model has no row for are left out: ${names}`],
  };
}

function piecesContent({ pieces, settings }: HuggingFaceFiles): Content {
  if (!pieces) throw new Error('there is neither tokenizer.json nor tokenizer.model');
  const added = addedTokens(Object.entries(object(settings.added_tokens_decoder)));
  const tokens = withAdded(pieces.tokens, added);
  const { addSpacePrefix } = pieces;
  return { kind: 'spm', tokens, added, merges: [], pieces, addSpacePrefix, warnings: [] };
}

function tokenizerContent(tokenizer: Json, { file, pieces, settings, attempt }: HuggingFaceFiles): Content {
  const { normalizer, pre_tokenizer: cutting, decoder } = tokenizer;
  const { type = 'BPE', vocab, merges: mergeList, ignore_merges, byte_fallback } = object(tokenizer.model);
  if (type !== 'BPE' || !Array.isArray(mergeList))
    throw unsupported(`of the type ${JSON.stringify(type)}`, file);
  const merges = mergeList.map((merge) => parts(merge, file));
  const additions = Array.isArray(tokenizer.added_tokens) ? tokenizer.added_tokens : [];
  const added = addedTokens(additions.map((entry) => [object(entry).id, entry]));
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(object(vocab))) tokens[tokenId(id, file)] = token;
  const content = { tokens: withAdded(tokens, added), added, merges };

  if (JSON.stringify([cutting, decoder]).includes('"ByteLevel"')) {
    const own = { definition: cutting, ignoreMerges: ignore_merges === true };
    const pre = attempt(() => recognise(createPreTokenizer(own.definition), own.ignoreMerges));
    const warnings = [
      ...(pre ? [] : [`the pre-tokenizer is none that llama.cpp knows: the file will name '${defaultPre}'`]),
      ...(isPlain(normalizer) ? [] : ['llama.cpp will not normalise text as this tokenizer does']),
    ];
    return { ...content, kind: 'bpe', pre: pre ?? defaultPre, own, addSpacePrefix: false, warnings };
  }
  if (byte_fallback !== true && !JSON.stringify([normalizer, cutting]).includes(SPACE))
    throw unsupported('neither SentencePiece nor byte-level', file);
  const belongs = pieces?.tokens.every((piece, id) => piece === tokens[id] || added.has(id)) ?? false;
  const addPrefix = settings.add_prefix_space;
  return {
    ...content,
    kind: 'spm',
    pieces: belongs ? pieces : undefined,
    addSpacePrefix: typeof addPrefix === 'boolean' ? addPrefix : prependsSpace(normalizer, cutting),
    warnings:
      pieces && !belongs ? ['tokenizer.model is left aside: its tokens are not those of tokenizer.json'] : [],
  };
}

const unsupported = (what: string, file: string) =>
  new TersorError(`its tokenizer is ${what}, which is not supported`, {
    code: 'unsupported',
    file,
    remedy: 'use a model with a SentencePiece BPE, byte-level BPE, WordPiece or Unigram tokenizer',
  });

const corrupt = (what: string, file: string) =>
  new TersorError(what, { file, remedy: 'get an intact copy of the file' });

export function tokenId(id: unknown, file: string): number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < MAX_TOKENS) return id;
  throw corrupt(`${JSON.stringify(id)} is not a token id`, file);
}

function parts(merge: unknown, file: string): Merge {
  const [left, right, ...rest] = typeof merge === 'string' ? merge.split(' ') : [merge].flat();
  if (typeof left === 'string' && typeof right === 'string' && rest.length === 0) return [left, right];
  throw corrupt(`${JSON.stringify(merge)} is not a merge`, file);
}

/** A merge as GGUF has it, where a space separates: spaces of the parts become GPT-2's stand-in for them. */
function joinMerge(merge: Merge): string {
  return merge.map((part) => part.replaceAll(' ', 'Ġ')).join(' ');
}

export function addedTokens(entries: readonly (readonly [id: unknown, entry: unknown])[]): Added {
  return new Map(
    entries.flatMap(([key, entry]) => {
      const { content, special } = object(entry);
      const id = Number(key);
      if (typeof content !== 'string' || !Number.isInteger(id) || id < 0 || id >= MAX_TOKENS) return [];
      const control = special === true || looksSpecial(content);
      // User-defined tokens are looked for in the text before its spaces are replaced.
      return [[id, { content: control ? content : content.replaceAll(SPACE, ' '), special: control }]];
    }),
  );
}

/** Tokens that models mark as ordinary additions although they are control tokens (conversion/base.py). */
function looksSpecial(token: string): boolean {
  return /^(<\|.*\|>|<｜.*｜>|<unused.*>|<pad>|<mask>|<2mass>|\[@BOS@\])$/s.test(token);
}

export function withAdded(tokens: readonly string[], added: Added): (string | undefined)[] {
  const all: (string | undefined)[] = [...tokens];
  for (const [id, { content }] of added) all[id] = content;
  return all;
}

/** As many tokens as the embedding has rows; llama.cpp's converter names the ones that stand for nothing so. */
export function padded(
  { tokens }: Pick<Content, 'tokens'>,
  { vocabularySize, file }: HuggingFaceFiles,
): string[] {
  if (vocabularySize !== undefined && tokens.length > vocabularySize)
    throw new TersorError(`it has ${tokens.length} tokens, but the model only ${vocabularySize}`, {
      file,
      remedy: 'use the tokenizer that belongs to the model',
    });
  const length = vocabularySize ?? tokens.length;
  return Array.from({ length }, (_, id) => tokens[id] ?? `[PAD${id}]`);
}

/**
 * SentencePiece scores, the higher the earlier merged: those of tokenizer.model, else the rank of the first
 * merge that makes a token, negated.
 */
function scores(tokens: readonly string[], { pieces, merges }: Content): number[] {
  if (pieces)
    return tokens.map(
      (token, id) => (pieces.tokens[id] === token ? pieces.scores[id] : undefined) ?? NEVER_MERGED,
    );
  const ranks = new Map<string, number>();
  for (const [rank, [left, right]] of merges.entries()) {
    const token = left + right;
    if (!ranks.has(token)) ranks.set(token, rank);
  }
  return tokens.map((token) => 0 - (ranks.get(token) ?? merges.length));
}

function isPlain(normalizer: unknown): boolean {
  const { type, normalizers } = object(normalizer);
  // Composed characters are what nearly all text has; llama.cpp's converter does without them too.
  if (normalizer === null || normalizer === undefined || type === 'NFC') return true;
  return type === 'Sequence' && Array.isArray(normalizers) && normalizers.every(isPlain);
}

/** Whether a text gets a space in front: by a normalizer that prepends it, or by the cutting. */
function prependsSpace(...definitions: readonly unknown[]): boolean {
  return definitions.some((definition) => {
    const { type, prepend_scheme, add_prefix_space, normalizers, pretokenizers } = object(definition);
    if (type === 'Prepend') return true;
    if (type === 'Metaspace') return (prepend_scheme ?? 'always') !== 'never' && add_prefix_space !== false;
    return [normalizers, pretokenizers].some((list) => Array.isArray(list) && prependsSpace(...list));
  });
}
