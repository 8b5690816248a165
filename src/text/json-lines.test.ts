import { expect, test } from 'vitest';
import { withFolder } from '../../test/checkpoint/files.js';
import { readText } from './corpus.js';

const bytes = (text: string) => new TextEncoder().encode(text);
const read = (name: string, text: string) =>
  withFolder({ [name]: bytes(text) }, (folder) => readText(`${folder}/${name}`));

test('of JSON lines the texts are read, and not the braces', async () => {
  const lines = '{"text":"One.\\nTwo.","id":1}\n\n{"text":"Three."}\n{"text":"Four."}\n';
  expect(await read('a.jsonl', lines)).toBe('One.\nTwo.\nThree.\nFour.');
  expect(await read('a.txt', lines)).toBe('One.\nTwo.\nThree.\nFour.');
});

test('text that only speaks of JSON stays text', async () => {
  const text = '{"text": "an example"}\nis an object.\n{"a": 1}';
  expect(await read('a.txt', text)).toBe(text);
});

test('lines without a text are refused by their number', async () => {
  await expect(read('a.jsonl', '{"text":"a"}\n{"messages":[]}\n')).rejects.toThrow(
    /a\.jsonl: line 2 has no "text"; give/,
  );
  await expect(read('a.jsonl', 'plain\n')).rejects.toThrow('line 1 is no JSON object');
});
