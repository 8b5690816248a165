/** Token classes as GGUF and SentencePiece number them. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Everything a tokenizer consists of, in the terms GGUF stores; made from tokenizer.json or from a GGUF. */
export interface Vocabulary {
  /**
   * `spm`: SentencePiece with byte fallback (GGUF model `llama`); `bpe`: byte-level BPE (GGUF model `gpt2`);
   * `wordpiece`, `unigram`: those of encoders, whose texts begin with `bos` ([CLS]) and end with `eos` ([SEP]).
   */
  readonly kind: 'spm' | 'bpe' | 'wordpiece' | 'unigram';
  readonly tokens: readonly string[];
  /** Values of `tokenType`, one per token. */
  readonly types: readonly number[];
  /** SentencePiece scores (spm). */
  readonly scores?: readonly number[];
  /** Merges as `left right` (bpe). */
  readonly merges?: readonly string[];
  /** llama.cpp's name of the pre-tokenizer (bpe). */
  readonly pre?: string;
  readonly addSpacePrefix?: boolean;
  readonly special: Readonly<Partial<Record<'bos' | 'eos' | 'unk' | 'pad' | 'sep', number>>>;
  /** Tokens that end a text where there are several; the first is `special.eos`, unless that goes by a name. */
  readonly ends?: readonly number[];
  /** What a post-processor puts around a text, where that is not what `addBos` and `addEos` say; encoders follow it. */
  readonly around?: { readonly first?: number; readonly last?: number };
  readonly addBos: boolean;
  readonly addEos: boolean;
  readonly chatTemplate?: string;
}

/** Text to token ids and back. */
export interface Tokenizer {
  readonly vocabulary: Vocabulary;
  /** Things a person should know, such as a pre-tokenizer that was not recognised. */
  readonly warnings: readonly string[];
  /** Token ids of plain text, without BOS or EOS. */
  encode(text: string): number[];
  decode(ids: readonly number[]): string;
}
