import { createLibraryTokenizer, type Definition, type LibraryTokenizer } from './library.js';
import { defaultPre, findCuts } from './pretokenizer.js';
import { type Tokenizer, tokenType, type Vocabulary } from './tokenizer.js';

/** SentencePiece's visible stand-in for a space. */
export const SPACE = '▁';

/** How a byte-level tokenizer of its own cuts text into words, as its tokenizer.json says. */
export interface OwnCuts {
  readonly definition: unknown;
  readonly ignoreMerges: boolean;
}

/**
 * A tokenizer that gives the ids that llama.cpp gives for a GGUF with this vocabulary
 * (`llama_tokenize` without `add_special` and `parse_special`): control tokens that occur in a text are
 * plain text, user-defined tokens are cut out first, and nothing normalises the text.
 * @param own a byte-level tokenizer's own cuts; without them the ones that `vocabulary.pre` names
 */
export function createTokenizer(
  vocabulary: Vocabulary,
  warnings: readonly string[] = [],
  own?: OwnCuts,
): Tokenizer {
  const library = vocabulary.kind === 'spm' ? sentencePiece(vocabulary) : byteLevel(vocabulary, own);
  const { types } = vocabulary;
  const silent = new Set<number>([tokenType.unknown, tokenType.control, tokenType.unused]);
  return {
    vocabulary,
    warnings,
    encode: (text) => library.encode(text, { add_special_tokens: false }).ids,
    decode(ids) {
      const visible = ids.filter((id) => !silent.has(types[id] ?? tokenType.unused));
      // The library refuses an empty list.
      return visible.length === 0 ? '' : library.decode(visible, { clean_up_tokenization_spaces: false });
    },
  };
}

function byteLevel(vocabulary: Vocabulary, own: OwnCuts | undefined): LibraryTokenizer {
  const { pre = defaultPre, merges = [] } = vocabulary;
  const { definition, ignoreMerges } = own ?? findCuts(pre) ?? findCuts(defaultPre) ?? {};
  return createLibraryTokenizer({
    ...common(vocabulary),
    normalizer: null,
    pre_tokenizer: definition,
    decoder: { type: 'ByteLevel' },
    model: {
      type: 'BPE',
      vocab: idsByToken(vocabulary),
      merges: merges.map(splitMerge),
      ignore_merges: ignoreMerges ?? false,
    },
  });
}

/** The two parts of a merge; the first character belongs to the left part even when it is a space. */
function splitMerge(merge: string): [string, string] {
  const at = merge.indexOf(' ', 1);
  return [merge.slice(0, at), merge.slice(at + 1)];
}

/**
 * SentencePiece's BPE (Kudo and Richardson, 2018): of all neighbours that form a token, the ones whose token
 * has the highest score are joined first, the leftmost of equals. The library ranks merges instead of tokens,
 * so every way to form a token gets that token's rank; its ties go to the leftmost as well.
 */
function sentencePiece(vocabulary: Vocabulary): LibraryTokenizer {
  const prefix = vocabulary.addSpacePrefix === false ? [] : [{ type: 'Prepend', prepend: SPACE }];
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: SPACE };
  const strip =
    vocabulary.addSpacePrefix === false ? [] : [{ type: 'Strip', content: ' ', start: 1, stop: 0 }];
  const vocab = idsByToken(vocabulary);
  const library = createLibraryTokenizer({
    ...common(vocabulary),
    normalizer: { type: 'Sequence', normalizers: [...prefix, replace] },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...strip,
      ],
    },
    model: { type: 'BPE', vocab, merges: [], byte_fallback: true },
  });
  for (const [pair, rank] of ranks(vocabulary)) library.model.bpe_ranks.set(pair, rank);
  library.pre_tokenizer = cutBetweenTokens(vocabulary.tokens);
  return library;
}

/** Ranks of all pairs that form a token, keyed as the library keys them: the higher the score the lower. */
function* ranks({ tokens, scores = [] }: Vocabulary): Generator<[pair: string, rank: number]> {
  const score = (id: number) => Math.fround(scores[id] ?? 0);
  const descending = [...new Set(tokens.map((_, id) => score(id)))].sort((a, b) => b - a);
  const rankOf = new Map(descending.map((value, rank) => [value, rank]));
  const known = new Set(tokens);
  for (const [id, token] of tokens.entries()) {
    const characters = Array.from(token);
    for (let length = 1; length < characters.length; length++) {
      const left = characters.slice(0, length).join('');
      const right = token.slice(left.length);
      const joinable =
        (length === 1 || known.has(left)) && (length === characters.length - 1 || known.has(right));
      if (joinable) yield [JSON.stringify([left, right]), rankOf.get(score(id)) ?? descending.length];
    }
  }
}

/**
 * Cuts a text between two characters that are neighbours in no token. No merge can reach across such a place,
 * so the ids are those of the whole text; without the cuts the text would be one word of a million characters,
 * whose merges take the library ten times as long and which its cache cannot help.
 */
export function cutBetweenTokens(tokens: readonly string[]): (text: string) => string[] {
  const neighbours = new Set<string>();
  for (const token of tokens) {
    let previous = '';
    for (const character of token) {
      if (previous) neighbours.add(previous + character);
      previous = character;
    }
  }
  return (text) => {
    const words: string[] = [];
    let start = 0;
    let at = 0;
    let previous = '';
    for (const character of text) {
      if (previous && !neighbours.has(previous + character)) {
        words.push(text.slice(start, at));
        start = at;
      }
      previous = character;
      at += character.length;
    }
    if (start < text.length) words.push(text.slice(start));
    return words;
  };
}

/**
 * Tokens that llama.cpp takes for control tokens because of their text, whatever type a file gives them
 * (llama-vocab.cpp: ends of generation and of turns, parts of fill-in-the-middle prompts).
 */
const controlTexts = new Set(
  `</s> <eos> <EOT> _<EOT> [EOT] [EOS] <turn|> <|tool_response> [e~[ <end_of_turn> <end_of_utterance> <｜end▁of▁sentence｜>
  <|eot_id|> <|eom_id|> <|im_end|> <|end|> <|endoftext|> <|end_of_text|> <|return|> <|call|> <|calls|> <|flush|>
  <|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> ▁<PRE> <|code_prefix|> <|prefix|>
  <|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> ▁<SUF> <|code_suffix|> <|suffix|>
  <|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> ▁<MID> <|code_middle|> <|middle|>
  <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD] <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>`.split(
    /\s+/,
  ),
);

/** What both kinds have alike: no special tokens are added, and user-defined ones are cut out as they stand. */
function common({ tokens, types }: Vocabulary): Pick<Definition, 'added_tokens' | 'post_processor'> {
  return {
    post_processor: null,
    added_tokens: tokens.flatMap((content, id) =>
      types[id] === tokenType.userDefined && !controlTexts.has(content)
        ? [{ id, content, special: false, normalized: false }]
        : [],
    ),
  };
}

function idsByToken({ tokens }: Vocabulary): Record<string, number> {
  // Defines properties instead of assigning them: `__proto__` is a token of several vocabularies.
  return Object.fromEntries(tokens.map((token, id) => [token, id]));
}
