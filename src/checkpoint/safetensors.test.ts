import { open, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { f32, rawSafetensors, refused, safetensors, withFolder } from '../../test/checkpoint/files.js';
import { normals } from '../../test/reference/random.js';
import { openCheckpoint } from './open.js';

const a = f32([2, 3], [1, 2, 3, 4, 5, 6]);
const b = f32([2], [7, 8]);
const config = { model_type: 'llama' };
const entry = (shape: number[], from: number, to: number, dtype = 'F32') => ({
  dtype,
  shape,
  data_offsets: [from, to],
});

describe('reading', () => {
  test('one file', () =>
    withFolder({ 'config.json': config, 'model.safetensors': safetensors({ a, b }) }, async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      expect(checkpoint).toMatchObject({
        path: folder,
        folder,
        format: 'safetensors',
        naming: 'huggingface',
        metadata: config,
      });
      expect([...checkpoint.tensors.values()]).toEqual([
        { name: 'a', shape: [2, 3], type: 'f32', bytes: 24 },
        { name: 'b', shape: [2], type: 'f32', bytes: 8 },
      ]);
      expect(checkpoint.bytes).toBe(safetensors({ a, b }).length);
      expect(await checkpoint.read('a')).toEqual({ shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) });
      expect(await checkpoint.readRows('a', 1, 2)).toEqual({ shape: [1, 3], data: Float32Array.of(4, 5, 6) });
      expect(await checkpoint.readRows('b', 1, 1)).toEqual({ shape: [0], data: new Float32Array() });
      await expect(checkpoint.readRows('b', 1, 3)).rejects.toThrow(RangeError);
      await checkpoint.close();
    }));

  test('shards, of which only the indexed tensors count', () => {
    const files = {
      'config.json': config,
      'model-00001-of-00002.safetensors': safetensors({ a, unlisted: b }),
      'model-00002-of-00002.safetensors': safetensors({ b }),
      'model.safetensors.index.json': {
        weight_map: { b: 'model-00002-of-00002.safetensors', a: 'model-00001-of-00002.safetensors' },
      },
    };
    return withFolder(files, async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      expect([...checkpoint.tensors.keys()].sort()).toEqual(['a', 'b']);
      expect((await checkpoint.read('b')).data).toEqual(Float32Array.of(7, 8));
      expect((await checkpoint.read('a')).data).toEqual(Float32Array.of(1, 2, 3, 4, 5, 6));
      await checkpoint.close();
    });
  });

  test('scalars, empty tensors and reads at the same time', () => {
    const values = normals(5000, 1);
    const tensors = { scalar: f32([], [3]), empty: f32([0, 4], []), large: f32([50, 100], values) };
    return withFolder(
      { 'config.json': config, 'model.safetensors': safetensors(tensors) },
      async (folder) => {
        const checkpoint = await openCheckpoint(join(folder, 'model.safetensors'));
        const [scalar, empty, large, rows] = await Promise.all([
          checkpoint.read('scalar'),
          checkpoint.read('empty'),
          checkpoint.read('large'),
          checkpoint.readRows('large', 10, 20),
        ]);
        expect(scalar).toEqual({ shape: [], data: Float32Array.of(3) });
        expect(empty).toEqual({ shape: [0, 4], data: new Float32Array() });
        expect(large).toEqual({ shape: [50, 100], data: values });
        expect(rows).toEqual({ shape: [10, 100], data: values.slice(1000, 2000) });
        await checkpoint.close();
      },
    );
  });

  test('some rows of a tensor of 8 GiB, without reading the others', () => {
    const [rows, cols] = [2 ** 20, 2 ** 12];
    const header = rawSafetensors(JSON.stringify({ a: entry([rows, cols], 0, 2 * rows * cols, 'F16') }));
    return withFolder({ 'config.json': config, 'model.safetensors': header }, async (folder) => {
      const path = join(folder, 'model.safetensors');
      const size = header.length + 2 * rows * cols;
      await truncate(path, size); // zeros that take no room on the disk
      const handle = await open(path, 'r+');
      await handle.write(Uint8Array.of(0, 0x3c), 0, 2, size - 2); // the half 1
      await handle.close();
      const checkpoint = await openCheckpoint(folder);
      expect(checkpoint.bytes).toBe(size);
      const { data } = await checkpoint.readRows('a', rows - 2, rows);
      expect(data).toEqual(new Float32Array(2 * cols).fill(1, 2 * cols - 1));
      await checkpoint.close();
    });
  });

  test('a key named __proto__ changes nothing', () => {
    const files = {
      'config.json': '{"__proto__": {"polluted": 1}, "a": {"__proto__": {"polluted": 1}}}',
      'model.safetensors': safetensors({ a }),
    };
    return withFolder(files, async (folder) => {
      const { metadata, close } = await openCheckpoint(folder);
      expect('polluted' in metadata).toBe(false);
      expect(metadata).toEqual({ a: {} });
      expect(Object.getOwnPropertyNames(metadata)).toEqual(['a']);
      await close();
    });
  });
});

describe('refuses', () => {
  const intact = safetensors({ a, b });
  const header = (tensors: object) => rawSafetensors(JSON.stringify(tensors), new Uint8Array(32));
  const single: [what: string, file: Uint8Array, message: RegExp][] = [
    ['an empty file', new Uint8Array(), /model.safetensors: has 0 bytes, too few/],
    ['a file cut inside its header', intact.slice(0, 40), /has 40 bytes, fewer than its header of \d+ needs/],
    [
      'a file cut inside its data',
      intact.slice(0, -9),
      /tensor a: reaches to byte .* truncated; get an intact/,
    ],
    [
      'an absurdly long header',
      Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255),
      /header would take 1844/,
    ],
    ['a header that is no JSON', rawSafetensors('{"a": '), /header: is not valid JSON; get an intact/],
    ['a header that is no object', rawSafetensors('[1]'), /header: is not a JSON object/],
    ['an entry that is no object', header({ a: 3 }), /tensor a: needs dtype, shape/],
    [
      'an entry without shape',
      header({ a: { dtype: 'F32', data_offsets: [0, 4] } }),
      /tensor a: needs dtype/,
    ],
    ['a negative dimension', header({ a: entry([-2, -4], 0, 32) }), /tensor a: needs dtype, shape/],
    ['a fractional offset', header({ a: entry([8], 0.5, 32.5) }), /tensor a: needs dtype, shape/],
    ['overlapping tensors', header({ a: entry([4], 0, 16), b: entry([5], 12, 32) }), /tensor b: overlaps a/],
    [
      'a hole',
      header({ a: entry([2], 0, 8), b: entry([5], 12, 32) }),
      /tensor b: leaves a hole of 4 bytes after a/,
    ],
    [
      'bytes that do not fit the shape',
      header({ a: entry([7], 0, 32) }),
      /a: has 32 bytes, but F32 of shape \[7\] takes 28/,
    ],
    ['offsets out of order', header({ a: entry([8], 32, 0) }), /tensor a: has -32 bytes/],
    ['a shape beyond all numbers', header({ a: entry([2 ** 40, 2 ** 40], 0, 32) }), /tensor a: has 32 bytes/],
    [
      'offsets beyond the file',
      header({ a: entry([16], 0, 64) }),
      /tensor a: reaches to byte \d+, but the file ends/,
    ],
    ['bytes after the last tensor', header({ a: entry([4], 0, 16) }), /has 16 bytes after the last tensor/],
    [
      'an unknown dtype',
      header({ a: entry([32], 0, 32, 'F8_E4M3') }),
      /tensor a: has the unknown dtype F8_E4M3; convert/,
    ],
    [
      'a tensor named __proto__',
      rawSafetensors('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', Uint8Array.of(1)),
      /has 1 bytes after/,
    ],
  ];
  test.each(single)('%s', (_, file, message) =>
    withFolder({ 'config.json': config, 'model.safetensors': file }, (folder) => refused(folder, message)),
  );

  const index = (map: unknown) => ({
    'config.json': config,
    'model-1.safetensors': safetensors({ a }),
    'model.safetensors.index.json': { weight_map: map },
  });
  const sharded: [what: string, files: Record<string, object>, message: RegExp][] = [
    [
      'a missing shard',
      index({ a: 'model-1.safetensors', b: 'model-2.safetensors' }),
      /model-2.safetensors: does not exist/,
    ],
    [
      'a tensor that is not in its shard',
      index({ a: 'model-1.safetensors', c: 'model-1.safetensors' }),
      /model-1.safetensors: tensor c: model.safetensors.index.json says/,
    ],
    [
      'a shard in another folder',
      index({ a: '../model-1.safetensors' }),
      /tensor a: names the shard "..\/model-1/,
    ],
    [
      'a shard with an absolute path',
      index({ a: '/etc/model.safetensors' }),
      /tensor a: names the shard "\/etc/,
    ],
    ['a shard that is no name', index({ a: 7 }), /tensor a: names the shard 7/],
    ['an index without map', index([]), /index.json: has no weight_map/],
  ];
  test.each(sharded)('%s', (_, files, message) => withFolder(files, (folder) => refused(folder, message)));

  test('a missing config.json', () =>
    withFolder({ 'model.safetensors': intact }, (folder) =>
      refused(folder, /config.json: does not exist; put the/),
    ));

  test('a config.json that is no JSON', () =>
    withFolder({ 'config.json': '{"a": 1,}', 'model.safetensors': intact }, (folder) =>
      refused(folder, /config.json: is not valid JSON; put the/),
    ));

  test('a tensor that is not there', () =>
    withFolder({ 'config.json': config, 'model.safetensors': intact }, async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      await expect(checkpoint.read('c')).rejects.toThrow(`${folder}: tensor c: there is no such tensor`);
      await checkpoint.close();
    }));

  test('a file that becomes shorter while it is open', () =>
    withFolder({ 'config.json': config, 'model.safetensors': intact }, async (folder) => {
      const checkpoint = await openCheckpoint(folder);
      await truncate(join(folder, 'model.safetensors'), intact.length - 9);
      await expect(checkpoint.read('a')).rejects.toThrow(/tensor a: the file ends at byte/);
      await checkpoint.close();
    }));
});
