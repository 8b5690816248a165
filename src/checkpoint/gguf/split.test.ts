import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bytesOf, refused, withFolder } from '../../../test/checkpoint/files.js';
import { gguf, pair, text, u32, valueType } from '../../../test/checkpoint/gguf.js';
import { normals } from '../../../test/reference/random.js';
import { openGguf } from './gguf.js';

const values = normals(24, 1);
const tensor = { dimensions: [4, 3, 2], type: 0, data: bytesOf(values) };

/** One part of a model as gguf-split makes it, of three tensors together. */
const part = (number: number, count: number, names: readonly string[] = []) =>
  gguf({
    pairs: [
      ...(number === 0 ? [pair('general.name', valueType.string, text('whole'))] : []),
      pair('split.no', valueType.u16, Uint8Array.of(number, 0)),
      pair('split.count', valueType.u16, Uint8Array.of(count, 0)),
      pair('split.tensors.count', valueType.i32, u32(3)),
    ],
    tensors: names.map((name) => ({ ...tensor, name })),
  });

test('a model in several parts is read by the first', () => {
  const files = Object.fromEntries(
    [['a'], ['b'], ['c']].map((names, at) => [`m-0000${at + 1}-of-00003.gguf`, part(at, 3, names)]),
  );
  return withFolder(files, async (folder) => {
    const checkpoint = await openGguf(join(folder, 'm-00001-of-00003.gguf'));
    expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b', 'c']);
    expect({ ...checkpoint.metadata }).toEqual({ 'general.name': 'whole' });
    expect(checkpoint.bytes).toBe(Object.values(files).reduce((sum, { length }) => sum + length, 0));
    for (const name of ['a', 'b', 'c']) {
      expect((await checkpoint.read(name)).data).toEqual(values);
      expect(await checkpoint.readBytes(name)).toEqual(bytesOf(values));
    }
    await checkpoint.close();
  });
});

test.each<[string, Record<string, Uint8Array>, string, RegExp]>([
  [
    'a part that is missing',
    { 'm-00001-of-00002.gguf': part(0, 2) },
    'm-00001-of-00002.gguf',
    /00002-of-00002/,
  ],
  [
    'another part than the first',
    { 'm-00002-of-00002.gguf': part(1, 2) },
    'm-00002-of-00002.gguf',
    /is part 2 of 2 of a model; give the first part, .*m-00001-of-00002/,
  ],
  [
    'a part of another model',
    { 'm-00001-of-00002.gguf': part(0, 2), 'm-00002-of-00002.gguf': part(1, 3) },
    'm-00001-of-00002.gguf',
    /is not part 2 of 2 of the model/,
  ],
  [
    'a tensor in two parts',
    { 'm-00001-of-00002.gguf': part(0, 2, ['a']), 'm-00002-of-00002.gguf': part(1, 2, ['a']) },
    'm-00001-of-00002.gguf',
    /m-00002-of-00002.gguf.*tensor a: occurs twice/,
  ],
  [
    'fewer tensors than there should be',
    { 'm-00001-of-00002.gguf': part(0, 2, ['a']), 'm-00002-of-00002.gguf': part(1, 2, ['b']) },
    'm-00001-of-00002.gguf',
    /its parts have 2 tensors, not the 3/,
  ],
])('%s is refused', (_, files, name, message) =>
  withFolder(files, (folder) => refused(join(folder, name), message)),
);
