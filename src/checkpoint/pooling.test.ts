import { expect, test } from 'vitest';
import { withFolder } from '../../test/checkpoint/files.js';
import { poolingName, readPooling } from './pooling.js';

const read = (content?: string) =>
  withFolder(content === undefined ? {} : { [poolingName]: new TextEncoder().encode(content) }, readPooling);

test.each([
  ['pooling_mode_cls_token', 'cls'],
  ['pooling_mode_mean_tokens', 'mean'],
  ['pooling_mode_mean_sqrt_len_tokens', 'mean'],
])('%s', async (mode, pooling) => {
  const others = { word_embedding_dimension: 384, pooling_mode_max_tokens: false, include_prompt: true };
  expect(await read(JSON.stringify({ ...others, [mode]: true }))).toBe(pooling);
});

test('is the mean where nothing is said', async () => {
  expect(await read()).toBe('mean');
});

test.each([
  ['{"pooling_mode_max_tokens": true}', 'embeddings by pooling_mode_max_tokens are not supported'],
  [
    '{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": true}',
    'embeddings by pooling_mode_cls_token and pooling_mode_mean_tokens are not supported',
  ],
  ['{"pooling_mode___proto__": true}', 'embeddings by pooling_mode___proto__ are not supported'],
  ['{}', 'embeddings by no pooling mode are not supported'],
  ['[1]', 'is not a JSON object'],
  ['{', 'is not a JSON object'],
])('refuses %s', async (content, problem) => {
  await expect(read(content)).rejects.toThrow(`1_Pooling/config.json: ${problem}`);
});
