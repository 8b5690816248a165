import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bytesOf, rawSafetensors, refused } from '../../test/checkpoint/files.js';
import { normals } from '../../test/reference/random.js';
import { openCheckpoint } from '../checkpoint/open.js';
import { TersorError } from '../errors.js';
import type { Encoded } from '../grid/grid.js';
import { findGrid } from '../grid/index.js';
import { roundPanel } from '../grid/round.js';
import { createKernels, type Kernels } from '../kernels/kernels.js';
import { fromPanel, toPanel } from '../kernels/panel.js';
import { createSafetensorsWriter, type SafetensorsPlan, safetensorsSize } from './safetensors.js';

let kernels: Kernels;
let folder: string;
let source: string;
let target: string;
beforeAll(async () => {
  kernels = await createKernels();
});
afterAll(() => kernels.close());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tersor-folder-'));
  source = join(folder, 'source');
  target = join(folder, 'target');
  await mkdir(source);
  await writeFile(join(source, 'config.json'), '{ "model_type":  "llama" }');
  await writeFile(join(source, 'tokenizer.json'), '{}');
  await writeFile(join(source, 'weights.txt'), 'not to be copied');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Values on a grid, row after row, and the bytes that they are stored as. */
async function quantize(type: string, rows: number, cols: number) {
  const grid = findGrid(type);
  return kernels.scope(async (arena) => {
    const weight = await toPanel(kernels, arena, { rows, cols, data: normals(rows * cols, 5) });
    const parameters = grid.allocate(arena, rows, cols);
    const values = arena.f32(cols * weight.stride);
    const codes = arena.u8(cols * weight.stride);
    await grid.fit(kernels, weight, arena.f32(cols).fill(1), parameters, 0);
    await roundPanel(kernels, weight, grid, parameters, { codes, values });
    const encoded: Encoded = { grid, ...weight, codes, parameters, values };
    const bytes = await grid.pack(kernels, encoded);
    return { bytes, values: (await fromPanel(kernels, { ...weight, data: values })).data };
  });
}

const tensors = [
  { name: 'a.weight', type: 'int3-g64', shape: [21, 128], bytes: 21 * 2 * 26 },
  { name: 'b.weight', type: 'bf16', shape: [2, 3], bytes: 12 },
  { name: 'c.weight', type: 'int8-tensor', shape: [21, 128], bytes: 21 * 128 + 2 },
  { name: 'd.weight', type: 'q4_0', shape: [21, 128], bytes: 21 * 4 * 18, transposed: true },
  { name: 'e.bias', type: 'f32', shape: [5], bytes: 20 },
];

function plan(changes: Partial<SafetensorsPlan> = {}): SafetensorsPlan {
  const about = { path: source, folder: source, format: 'safetensors', naming: 'huggingface' } as const;
  return { source: { ...about, metadata: {} }, metadata: { 'tersor.version': '1' }, tensors, ...changes };
}

async function write(to = target, changes: Partial<SafetensorsPlan> = {}): Promise<number> {
  const writer = await createSafetensorsWriter(to, plan(changes));
  for (const { name, type, shape, bytes } of tensors) {
    const [rows = 1, cols = 0] = shape;
    const coded = cols === 128;
    await writer.write(
      name,
      coded ? (await quantize(type, rows, cols)).bytes : new Uint8Array(bytes).fill(64),
    );
  }
  await writer.finish();
  return writer.bytes;
}

describe('a written folder', () => {
  test('is read back: codes decoded, numbers as they are', async () => {
    await write();
    expect((await readdir(folder)).sort()).toEqual(['source', 'target']);
    const checkpoint = await openCheckpoint(target, { kernels });
    expect(Object.fromEntries(checkpoint.tensors)).toMatchObject({
      'a.weight': { type: 'int3-g64', shape: [21, 128], bytes: 21 * 2 * 26 },
      'b.weight': { type: 'bf16', shape: [2, 3] },
      'd.weight': { type: 'q4_0', shape: [128, 21] },
    });
    for (const name of ['a.weight', 'c.weight']) {
      const { values } = await quantize(checkpoint.tensors.get(name)?.type ?? '', 21, 128);
      expect((await checkpoint.read(name)).data, name).toEqual(values);
      expect(await checkpoint.readRows(name, 5, 18), name).toEqual({
        shape: [13, 128],
        data: values.slice(5 * 128, 18 * 128),
      });
    }
    const { values } = await quantize('q4_0', 21, 128);
    const columns = Float32Array.from({ length: 3 * 21 }, (_, i) => {
      return values[(i % 21) * 128 + 7 + Math.floor(i / 21)] ?? Number.NaN;
    });
    expect(await checkpoint.readRows('d.weight', 7, 10)).toEqual({ shape: [3, 21], data: columns });
    expect((await checkpoint.read('e.bias')).data).toEqual(
      new Float32Array(new Uint8Array(20).fill(64).buffer),
    );
    await checkpoint.close();
  });

  test('holds configuration and tokenizer as they were, and nothing else', async () => {
    await write();
    expect((await readdir(target)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    expect(await readFile(join(target, 'config.json'), 'utf8')).toBe('{ "model_type":  "llama" }');
  });

  test('gets a configuration from formats that have theirs elsewhere, a tokenizer from where it lies', async () => {
    const elsewhere = join(folder, 'elsewhere');
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, 'tokenizer.model'), '');
    await write(target, {
      source: { ...plan().source, format: 'llama2c', metadata: { model_type: 'llama' } },
      tokenizer: elsewhere,
    });
    expect((await readdir(target)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.model']);
    expect(JSON.parse(await readFile(join(target, 'config.json'), 'utf8'))).toEqual({ model_type: 'llama' });
  });

  test('has exactly the predicted size and the same bytes twice, and replaces its like', async () => {
    const bytes = await write();
    const weights = join(target, 'model.safetensors');
    const first = await readFile(weights);
    expect(first.length).toBe(bytes);
    expect(safetensorsSize(plan())).toBe(bytes);
    await write();
    expect((await readFile(weights)).equals(first)).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['source', 'target']);
  });

  test('aligns every number and says what it is', async () => {
    await write();
    const file = await readFile(join(target, 'model.safetensors'));
    const length = Number(file.readBigUInt64LE());
    expect(length % 8).toBe(0);
    const header = JSON.parse(file.subarray(8, 8 + length).toString());
    expect(header.__metadata__).toEqual({
      format: 'tersor',
      'tersor.version': '1',
      'tersor.tensors': JSON.stringify({
        'a.weight': { type: 'int3-g64', shape: [21, 128] },
        'c.weight': { type: 'int8-tensor', shape: [21, 128] },
        'd.weight': { type: 'q4_0', shape: [21, 128], transposed: true },
      }),
    });
    expect(header['e.bias']).toEqual({ dtype: 'F32', shape: [5], data_offsets: [0, 20] });
    expect(header['b.weight']).toEqual({ dtype: 'BF16', shape: [2, 3], data_offsets: [20, 32] });
    expect(header['a.weight.codes']).toMatchObject({ dtype: 'U8', shape: [1092] });
  });
});

describe('nothing stays behind', () => {
  test('after abort, missing bytes and a check that fails', async () => {
    await (await createSafetensorsWriter(target, plan())).abort();
    await expect((await createSafetensorsWriter(target, plan())).finish()).rejects.toThrow('not written');
    const empty = await createSafetensorsWriter(target, plan({ tensors: [] }));
    let checked = '';
    const check = async (path: string) => {
      checked = path;
      expect((await readdir(path)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
      throw new TersorError('no good');
    };
    await expect(empty.finish(check)).rejects.toThrow('no good');
    expect(checked).not.toBe('');
    expect(await readdir(folder)).toEqual(['source']);
  });

  test('when the configuration is not there', async () => {
    await rm(join(source, 'config.json'));
    await expect(createSafetensorsWriter(target, plan())).rejects.toThrow(TersorError);
    expect(await readdir(folder)).toEqual(['source']);
  });
});

describe('errors before any work', () => {
  const refusal = async (changes: Partial<SafetensorsPlan> = {}) => {
    const error = await createSafetensorsWriter(target, plan(changes)).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(TersorError);
    return String(error);
  };
  test('a folder with other things in it, which stay', async () => {
    await mkdir(target);
    await writeFile(join(target, 'thesis.tex'), '');
    expect(await refusal()).toContain('holds something that tersor did not write; empty it or give');
    await rm(join(target, 'thesis.tex'));
    await writeFile(join(target, 'model.safetensors'), rawSafetensors('{"__metadata__":{"format":"pt"}}'));
    expect(await refusal()).toContain('tersor did not write');
    expect(await readdir(target)).toEqual(['model.safetensors']);
  });
  test('a file in the way, a missing parent, a source without config.json', async () => {
    await writeFile(target, '');
    expect(await refusal()).toContain('is an existing file');
    target = join(folder, 'none', 'target');
    expect(await refusal()).toContain('does not exist; create it');
    target = join(folder, 'new');
    expect(await refusal({ source: { ...plan().source, naming: 'gguf' } })).toContain('has no config.json');
    await expect(stat(target)).rejects.toThrow();
  });
});

describe('a corrupt file', () => {
  const corrupt = async (table: unknown, message: RegExp, dtype = 'U8') => {
    const metadata = { format: 'tersor', 'tersor.tensors': JSON.stringify(table) };
    const codes = { dtype, shape: [18], data_offsets: [0, 18] };
    const header = JSON.stringify({ __metadata__: metadata, 'x.codes': codes });
    const weights = rawSafetensors(header, bytesOf(new Uint8Array(18)));
    await mkdir(target);
    await writeFile(join(target, 'config.json'), '{}');
    await writeFile(join(target, 'model.safetensors'), weights);
    await refused(target, message);
    await rm(target, { recursive: true });
  };
  test('is refused in one line', async () => {
    const where = 'model.safetensors: tensor x: ';
    await corrupt({ x: { type: 'int99', shape: [1, 32] } }, new RegExp(`${where}there is no type int99`));
    await corrupt({ x: { type: 'int4', shape: [1, 40] } }, new RegExp(`${where}type int4 stores 32`));
    await corrupt({ x: { type: 'int4', shape: [2, 32] } }, new RegExp(`${where}has 18 bytes, but int4`));
    await corrupt({ x: { type: 'int4', shape: [-1, 32] } }, new RegExp(`${where}.*must give`));
    await corrupt({ x: { type: 'int4', shape: [] } }, new RegExp(`${where}.*must give`));
    await corrupt({ x: null }, new RegExp(`${where}.*must give`));
    await corrupt({ x: { type: 'int4', shape: [1, 32] } }, new RegExp(`${where}.*must give`), 'I8');
    await corrupt({ y: { type: 'int4', shape: [1, 32] } }, /tensor y: tersor.tensors lists it, but/);
    await corrupt([], /tersor.tensors: is not a JSON object/);
  });
});
