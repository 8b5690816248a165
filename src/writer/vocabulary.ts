import { tokenType, type Vocabulary } from '../text/tokenizer.js';
import type { Metadata, MetadataValue } from './metadata.js';

const specialKeys = {
  bos: 'bos_token_id',
  eos: 'eos_token_id',
  unk: 'unknown_token_id',
  sep: 'seperator_token_id', // sic: the key is spelled so in the format
  pad: 'padding_token_id',
} as const;

/**
 * A vocabulary as the key-value pairs `tokenizer.*` from which llama.cpp rebuilds the tokenizer
 * (llama-vocab.cpp, `llama_vocab::impl::load`). What llama.cpp assumes anyway is left out where no other
 * reader needs it, so that the header never takes more bytes than that of llama.cpp's own converter.
 */
export function vocabularyMetadata(vocabulary: Vocabulary): Metadata {
  const { kind, tokens, types, scores, merges, special } = vocabulary;
  const pairs: Record<string, MetadataValue> = {};
  const put = (key: string, value: MetadataValue) => {
    pairs[`tokenizer.ggml.${key}`] = value;
  };
  put('model', {
    type: 'string',
    value: { spm: 'llama', bpe: 'gpt2', wordpiece: 'bert', unigram: 't5' }[kind],
  });
  // A SentencePiece vocabulary has no pre-tokenizer, and llama.cpp does not look for one.
  if (kind === 'bpe') put('pre', { type: 'string', value: vocabulary.pre ?? 'default' });
  put('tokens', { type: 'array', of: 'string', value: tokens });
  if (scores) put('scores', { type: 'array', of: 'f32', value: scores });
  if (types.some((type) => type !== tokenType.normal))
    put('token_type', { type: 'array', of: 'i32', value: types });
  if (merges) put('merges', { type: 'array', of: 'string', value: merges });
  for (const [name, key] of Object.entries(specialKeys)) {
    const id = special[name as keyof typeof specialKeys];
    const assumed = kind === 'spm' && name === 'unk' && id === 0;
    if (id !== undefined && !assumed) put(key, { type: 'u32', value: id });
  }
  put('add_bos_token', { type: 'bool', value: vocabulary.addBos });
  if (vocabulary.addEos) put('add_eos_token', { type: 'bool', value: true });
  if (kind === 'spm' && vocabulary.addSpacePrefix === false)
    put('add_space_prefix', { type: 'bool', value: false });
  if (vocabulary.chatTemplate !== undefined)
    pairs['tokenizer.chat_template'] = { type: 'string', value: vocabulary.chatTemplate };
  return pairs;
}
