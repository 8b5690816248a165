import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { keyOf, openStore } from './store.js';

const parent = mkdtempSync(join(tmpdir(), 'tersor-store-'));
afterAll(() => rmSync(parent, { recursive: true }));

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i);

test('gives back what was put in, in another opening too', async () => {
  const folder = join(parent, 'first', 'store');
  const store = await openStore(folder);
  const key = keyOf('a', bytes);
  expect(await store.get(key)).toBeUndefined();
  await store.put(key, bytes);
  expect(await store.get(key)).toEqual(Buffer.from(bytes));
  expect(await (await openStore(folder)).get(key)).toEqual(Buffer.from(bytes));
  expect(readdirSync(folder)).toEqual([key]);
});

test.each([
  ['cut off', (content: Buffer) => content.subarray(0, 500)],
  ['empty', () => Buffer.alloc(0)],
  [
    'changed',
    (content: Buffer) => {
      content[700] = (content[700] ?? 0) ^ 1;
      return content;
    },
  ],
])('an entry that is %s counts as absent and can be put again', async (name, corrupt) => {
  const folder = join(parent, name);
  const store = await openStore(folder);
  const path = join(folder, 'key');
  await store.put('key', bytes);
  writeFileSync(path, corrupt(readFileSync(path)));
  expect(await store.get('key')).toBeUndefined();
  await store.put('key', bytes);
  expect(await store.get('key')).toEqual(Buffer.from(bytes));
});

test('a folder that cannot be made is a clear error', async () => {
  writeFileSync(join(parent, 'file'), '');
  const store = await openStore(join(parent, 'file', 'store'));
  await expect(store.put('key', bytes)).rejects.toThrow('file');
});

test('keys tell lists of parts apart', () => {
  expect(keyOf('ab', 'c')).not.toBe(keyOf('a', 'bc'));
  expect(keyOf('ab')).not.toBe(keyOf('a', 'b'));
  expect(keyOf(Float32Array.of(1))).not.toBe(keyOf(Float32Array.of(2)));
});
