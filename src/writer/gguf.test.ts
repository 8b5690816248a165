import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { needs } from '../../test/fixtures/needs.js';
import { openGguf } from '../checkpoint/gguf/gguf.js';
import { TersorError } from '../errors.js';
import { createGgufWriter, ggufSize } from './gguf.js';
import type { Metadata } from './metadata.js';
import { fileError } from './output.js';

const superuser = process.getuid?.() === 0 ? 'permissions do not hold the superuser back' : undefined;

const metadata: Metadata = {
  'general.architecture': { type: 'string', value: 'llama' },
  'a.u8': { type: 'u8', value: 255 },
  'a.i8': { type: 'i8', value: -128 },
  'a.u16': { type: 'u16', value: 65535 },
  'a.i16': { type: 'i16', value: -32768 },
  'a.u32': { type: 'u32', value: 2 ** 32 - 1 },
  'a.i32': { type: 'i32', value: -(2 ** 31) },
  'a.u64': { type: 'u64', value: 2n ** 64n - 1n },
  'a.i64': { type: 'i64', value: -(2 ** 40) },
  'a.f32': { type: 'f32', value: 0.1 },
  'a.f64': { type: 'f64', value: 0.1 },
  'a.yes': { type: 'bool', value: true },
  'a.no': { type: 'bool', value: false },
  'a.text': { type: 'string', value: 'Grüße, 世界 🌍' },
  'a.empty': { type: 'string', value: '' },
  'a.strings': { type: 'array', of: 'string', value: ['▁', '', 'ä'] },
  'a.floats': { type: 'array', of: 'f32', value: Float32Array.of(1.5, -2, 1e-30) },
  'a.integers': { type: 'array', of: 'i32', value: [1, -1] },
  'a.booleans': { type: 'array', of: 'bool', value: [true, false] },
};
const values = (offset: number, count: number) => Float32Array.from({ length: count }, (_, i) => offset + i);
const bytesOf = (floats: Float32Array) => new Uint8Array(floats.buffer);
const tensor = (name: string, ...shape: number[]) => ({
  name,
  shape,
  type: 'f32',
  bytes: 4 * shape.reduce((a, b) => a * b, 1),
});
const tensors = [tensor('odd', 5), tensor('matrix', 3, 2), tensor('last', 7)];

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-gguf-'));
  path = join(folder, 'model.gguf');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe('a written file', () => {
  test('is read back, whatever the order of the pieces', async () => {
    const writer = await createGgufWriter(path, { metadata, tensors });
    const matrix = bytesOf(values(10, 6));
    await writer.write('last', bytesOf(values(20, 7)));
    await writer.write('matrix', matrix.subarray(8), 8);
    await writer.write('matrix', matrix.subarray(0, 8));
    await writer.write('odd', bytesOf(values(0, 5)));
    expect(await readdir(folder)).toEqual([`model.gguf.tmp-${process.pid}`]);
    await writer.finish();
    expect(await readdir(folder)).toEqual(['model.gguf']);

    const checkpoint = await openGguf(path);
    const expected = Object.fromEntries(
      Object.entries(metadata).map(([key, { value }]) => [
        key,
        value instanceof Float32Array ? Array.from(value) : value,
      ]),
    );
    expect({ ...checkpoint.metadata, 'a.f32': 0.1 }).toEqual(expected);
    expect(checkpoint.metadata['a.f32']).toBe(Math.fround(0.1));
    expect([...checkpoint.tensors.values()]).toEqual(tensors);
    expect(await checkpoint.read('odd')).toEqual({ shape: [5], data: values(0, 5) });
    expect(await checkpoint.read('matrix')).toEqual({ shape: [3, 2], data: values(10, 6) });
    expect(await checkpoint.read('last')).toEqual({ shape: [7], data: values(20, 7) });
    await checkpoint.close();
  });

  test('has exactly the predicted size, and the same bytes twice', async () => {
    const write = async (name: string) => {
      const writer = await createGgufWriter(join(folder, name), { metadata, tensors });
      for (const { name, bytes } of tensors) await writer.write(name, new Uint8Array(bytes).fill(7));
      await writer.finish();
      return { bytes: writer.bytes, content: await readFile(join(folder, name)) };
    };
    const [first, second] = [await write('a'), await write('b')];
    expect(first.content.length).toBe(ggufSize(metadata, tensors));
    expect(first.bytes).toBe(first.content.length);
    expect(first.content.equals(second.content)).toBe(true);
    expect(ggufSize({}, [])).toBe(32);
  });

  test('takes bytes from shared memory', async () => {
    const shared = new Uint8Array(new SharedArrayBuffer(20)).fill(1);
    const writer = await createGgufWriter(path, { metadata: {}, tensors: [tensor('odd', 5)] });
    await writer.write('odd', shared);
    await writer.finish();
    expect((await readFile(path)).subarray(-32, -12)).toEqual(Buffer.alloc(20, 1));
  });

  test('replaces a file of its name only when it is complete', async () => {
    await writeFile(path, 'before');
    const writer = await createGgufWriter(path, { metadata: {}, tensors: [tensor('odd', 5)] });
    await writer.write('odd', new Uint8Array(20));
    expect(await readFile(path, 'utf8')).toBe('before');
    await writer.finish();
    expect((await stat(path)).size).toBe(writer.bytes);
  });
});

describe('nothing stays behind', () => {
  test('after abort, also twice and after a failure', async () => {
    const writer = await createGgufWriter(path, { metadata, tensors });
    await writer.write('odd', new Uint8Array(20));
    await writer.abort();
    await writer.abort();
    await expect(writer.write('odd', new Uint8Array(20))).rejects.toThrow();
    expect(await readdir(folder)).toEqual([]);
  });

  test('when bytes are missing or written twice', async () => {
    for (const pieces of [
      [],
      [[0, 16]],
      [
        [0, 20],
        [4, 4],
      ],
      [[8, 12]],
    ] as const) {
      const writer = await createGgufWriter(path, { metadata: {}, tensors: [tensor('odd', 5)] });
      for (const [offset, length] of pieces) await writer.write('odd', new Uint8Array(length), offset);
      await expect(writer.finish()).rejects.toThrow(/tensor odd: byte \d+ was not written exactly once/);
      expect(await readdir(folder)).toEqual([]);
    }
  });

  test('when the file cannot get its name', async () => {
    const writer = await createGgufWriter(path, { metadata: {}, tensors: [] });
    await mkdir(join(path, 'in the way'), { recursive: true });
    await expect(writer.finish()).rejects.toThrow(TersorError);
    expect(await readdir(folder)).toEqual(['model.gguf']);
  });

  test('when the process ends in the middle', async () => {
    const before = process.listenerCount('exit');
    const writer = await createGgufWriter(path, { metadata: {}, tensors: [tensor('odd', 5)] });
    expect(process.listenerCount('exit')).toBe(before + 1);
    for (const listener of process.listeners('exit').slice(before)) listener(1);
    expect(await readdir(folder)).toEqual([]);
    await writer.abort();
    expect(process.listenerCount('exit')).toBe(before);
  });
});

describe('mistakes of the program', () => {
  test('are refused', async () => {
    const twice = { metadata: {}, tensors: [tensor('odd', 5), tensor('odd', 5)] };
    await expect(createGgufWriter(path, twice)).rejects.toThrow('planned twice');
    const writer = await createGgufWriter(path, { metadata: {}, tensors: [tensor('odd', 5)] });
    await expect(writer.write('even', new Uint8Array(1))).rejects.toThrow('not in the plan');
    await expect(writer.write('odd', new Uint8Array(1), 20)).rejects.toThrow('bytes 20 to 21 of 20');
    await writer.abort();
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('errors before any work', () => {
  const failure = async (target: string) => {
    const error = await createGgufWriter(target, { metadata, tensors }).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TersorError);
    const { message } = error as TersorError;
    expect(message).not.toContain('\n');
    expect(message.startsWith(`${target}: `)).toBe(true);
    return message;
  };

  test('a folder that does not exist', async () => {
    expect(await failure(join(folder, 'none', 'model.gguf'))).toMatch(/does not exist; create it \(mkdir -p/);
  });
  test('a folder that is a file', async () => {
    await writeFile(join(folder, 'file'), '');
    expect(await failure(join(folder, 'file', 'model.gguf'))).toContain('is a file; choose another output');
  });
  test('a target that is a folder', async () => {
    await mkdir(path);
    expect(await failure(path)).toContain('the output is an existing folder; give the name of a file');
  });
  // Root may write everywhere.
  test('a folder that is not writable', needs(superuser), async () => {
    await chmod(folder, 0o500);
    expect(await failure(path)).toContain('is not writable; choose another output');
    await chmod(folder, 0o700);
  });
  test('a disk that cannot take a file of this name', async () => {
    expect(await failure(join(folder, 'x'.repeat(300)))).toContain('cannot be written');
  });
  test.each([
    ['ENOSPC', 'the disk is full; free some space'],
    ['EROFS', 'is not writable; choose another output'],
    ['EIO', 'cannot be written (why)'],
  ])('%s of the operating system', (code, message) => {
    const error = fileError(path, Object.assign(new Error('why'), { code }));
    expect(error).toBeInstanceOf(TersorError);
    expect(String(error)).toContain(message);
  });
  test('a tensor that GGUF cannot hold', () => {
    expect(() => ggufSize({}, [tensor('x'.repeat(64), 1)])).toThrow('the name has more than 63 bytes');
    expect(() => ggufSize({}, [{ ...tensor('x', 1), type: 'toString' }])).toThrow(
      'tensor x: type toString cannot be written to GGUF; choose one of f32, f16',
    );
  });
});
