import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bytesOf, withFolder } from '../../test/checkpoint/files.js';
import { array, f32, f64, gguf, pair, text, u8, u32, u64, valueType } from '../../test/checkpoint/gguf.js';
import { normals } from '../../test/reference/random.js';
import { type GgufFile, readGguf, writeGguf } from './gguf-file.js';

const t = valueType;
const pairs = [
  pair('u8', t.u8, u8(255)),
  pair('i32', t.i32, u32(2 ** 32 - 1)),
  pair('f32', t.f32, f32(1.5)),
  pair('bool', t.bool, u8(1)),
  pair('string', t.string, text('Zeichenkette ▁')),
  pair('large', t.u64, u64(2n ** 64n - 1n)),
  pair('f64', t.f64, f64(0.1)),
  pair('strings', t.array, array(t.string, [text('a'), text('')])),
  pair('flags', t.array, array(t.bool, [u8(0), u8(1)])),
  pair('numbers', t.array, array(t.f32, [f32(1), f32(2)])),
];
const values = normals(24, 1);
const blocks = Uint8Array.from({ length: 34 * 6 }, (_, at) => (at % 34 < 2 ? 0 : at % 100));
const tensors = [
  { name: 'a', dimensions: [4, 3, 2], type: 0, data: bytesOf(values) },
  { name: 'q', dimensions: [64, 3], type: 8, data: blocks },
];

const copy = ({ metadata, tensors, readBytes }: GgufFile) => ({
  metadata,
  tensors: [...tensors.values()].map((tensor) => ({ ...tensor, data: () => readBytes(tensor.name) })),
});

test('a file is copied to the byte, with the types of its pairs', () =>
  withFolder({ 'model.gguf': gguf({ pairs, tensors }) }, async (folder) => {
    const file = await readGguf(join(folder, 'model.gguf'));
    expect(file.metadata.large).toEqual({ type: 'u64', value: 2n ** 64n - 1n });
    expect(file.metadata.numbers).toEqual({ type: 'array', of: 'f32', value: [1, 2] });
    expect((await file.read('a')).data).toEqual(values);
    expect(await file.readBytes('q')).toEqual(blocks);
    await writeGguf(join(folder, 'copy.gguf'), copy(file));
    await file.close();
    const again = await readGguf(join(folder, 'copy.gguf'));
    expect(again.metadata).toEqual(file.metadata);
    expect(again.tensors).toEqual(file.tensors);
    expect(await again.readBytes('q')).toEqual(blocks);
    await again.close();
    expect((await readFile(join(folder, 'copy.gguf'))).subarray(0, 8)).toEqual(
      Buffer.from([0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0]),
    );
  }));

test('refuses what cannot be written, and leaves nothing behind', () =>
  withFolder({ 'model.gguf': gguf({ pairs, tensors }) }, async (folder) => {
    const file = await readGguf(join(folder, 'model.gguf'));
    const path = join(folder, 'copy.gguf');
    const { metadata, tensors: given } = copy(file);
    const short = given.map((tensor) => ({ ...tensor, data: () => new Uint8Array(1) }));
    await expect(writeGguf(path, { metadata, tensors: short })).rejects.toMatchObject({
      code: 'invalid-input',
      file: path,
      tensor: 'a',
    });
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(file.readBytes('b')).rejects.toMatchObject({ code: 'not-found', tensor: 'b' });
    await file.close();
    const nested = array(t.array, [array(t.u8, [u8(1)])]);
    await withFolder({ 'n.gguf': gguf({ pairs: [pair('n', t.array, nested)] }) }, (inner) =>
      expect(readGguf(join(inner, 'n.gguf'))).rejects.toMatchObject({ code: 'unsupported' }),
    );
  }));
