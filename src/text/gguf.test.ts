import { expect, test } from 'vitest';
import { vocabularyFromGguf } from './gguf.js';

test('a GGUF with cuts of a name that is not known', () => {
  const metadata = {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'new',
    'tokenizer.ggml.tokens': ['a', 'b', 'ab'],
    'tokenizer.ggml.merges': ['a b'],
  };
  const { vocabulary, warnings } = vocabularyFromGguf(metadata, 'x.gguf');
  expect(vocabulary).toMatchObject({ kind: 'bpe', pre: 'new', special: {}, addBos: false });
  expect(warnings).toEqual([
    "the pre-tokenizer new is not known here: text is cut into words as for 'default'",
  ]);
  const { 'tokenizer.ggml.merges': _, ...incomplete } = metadata;
  expect(() => vocabularyFromGguf(incomplete, 'x.gguf')).toThrow(
    'x.gguf: its tokenizer lacks tokenizer.ggml.merges; convert the model again',
  );
  expect(() => vocabularyFromGguf({ 'tokenizer.ggml.model': 'bert' }, 'x.gguf')).toThrow(
    'of the kind "bert"',
  );
});
