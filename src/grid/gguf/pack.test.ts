import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needs } from '../../../test/fixtures/needs.js';
import { ggmlDequantize, ggmlMissing, ggmlQuantize } from '../../../test/oracle/ggml.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { createKernels, type Kernels } from '../../kernels/kernels.js';
import { fromPanel, slabHeight, toPanel } from '../../kernels/panel.js';
import type { Encoded, Levels } from '../grid.js';
import { findGrid, ggufGrids, gridNames } from '../index.js';
import { levelRecord } from '../levels.js';
import { type GgufName, ggufFormats } from './gguf.js';
import { blockLayouts } from './layout.js';

const names = Object.keys(ggufFormats) as GgufName[];
const blockNames = names.filter((name) => ggufFormats[name].scale.kind !== 'none');

// One row, rows that end inside a vector, a tile and a thread's share, and several slabs.
const rowCounts = [1, 5, 16, 63, 77, 130];

let teams: Kernels[];
beforeAll(async () => {
  teams = await Promise.all([1, 2].map((threads) => createKernels({ threads })));
});
afterAll(() => {
  for (const kernels of teams) kernels.close();
});

/** Seeded 32-bit numbers. */
function bitsOf(seed: number): () => number {
  const next = uniform(seed);
  return () => Math.floor(next() * 2 ** 32);
}

/** A bell-shaped sample with a few large values. */
const sample = (count: number, seed: number) =>
  normals(count, seed).map((x, i) => 0.02 * x * ((i * 2654435761) % 97 ? 1 : 8));

/** Blocks of any bits whose halves are finite: no half with all exponent bits set. */
function randomBlocks(name: GgufName, blocks: number, seed: number): Uint8Array {
  const { blockBytes } = ggufFormats[name];
  const layout = blockLayouts[name as keyof typeof blockLayouts];
  const next = bitsOf(seed);
  const bytes = Uint8Array.from({ length: blocks * blockBytes }, () => next() >>> 11);
  for (let block = 0; block < blocks; block++)
    for (const at of layout.exponent ? [] : [layout.scale, layout.offset ?? layout.scale]) {
      const high = block * blockBytes + at + 1;
      if (((bytes[high] ?? 0) & 0x7c) === 0x7c) bytes[high] = (bytes[high] ?? 0) ^ 0x40;
    }
  return bytes;
}

const differing = (a: Float32Array, b: Float32Array) => {
  const [x, y] = [new Uint32Array(a.buffer), new Uint32Array(b.buffer)];
  return x.length === y.length ? x.filter((bits, i) => bits !== y[i]).length : Number.NaN;
};

const decoded = async (kernels: Kernels, { values, ...shape }: Encoded) =>
  (await fromPanel(kernels, { ...shape, data: values })).data;

describe.each(blockNames)('%s', (name) => {
  const { blockSize } = ggufFormats[name];
  const grid = ggufGrids[name];

  test.each(rowCounts)('decodes %i rows of any bits as ggml does', needs(ggmlMissing), async (rows) => {
    const cols = 3 * blockSize;
    const seed = rows * 7919;
    const bytes = randomBlocks(name, rows * 3, seed);
    const expected = ggmlDequantize(name, bytes, rows * cols);
    for (const kernels of teams)
      await kernels.scope(async (arena) => {
        const encoded = await grid.unpack(kernels, arena, bytes, rows, cols);
        expect(differing(await decoded(kernels, encoded), expected), `seed ${seed}`).toBe(0);
      });
  });

  test.each(rowCounts)(
    'packs %i rows of ggml’s bytes again as they were',
    needs(ggmlMissing),
    async (rows) => {
      const cols = 2 * blockSize;
      const bytes = ggmlQuantize(name, rows, cols, sample(rows * cols, rows));
      for (const kernels of teams)
        await kernels.scope(async (arena) => {
          const encoded = await grid.unpack(kernels, arena, bytes, rows, cols);
          expect(Buffer.compare(await grid.pack(kernels, encoded), bytes)).toBe(0);
        });
    },
  );

  test('keeps every code through several slabs', async () => {
    const [rows, cols] = [2101, 1024];
    expect(rows).toBeGreaterThan(2 * slabHeight(cols * 4));
    const stride = 2104;
    const next = bitsOf(11);
    const codes = Uint8Array.from({ length: cols * stride }, (_, i) =>
      i % stride < rows ? next() % levelCount(grid.levels) : 0,
    );
    for (const kernels of teams)
      await kernels.scope(async (arena) => {
        const parameters = grid.allocate(arena, rows, cols);
        for (const scales of [parameters.scale, parameters.stored.superScale])
          for (let i = 0; i < (scales?.length ?? 0); i++) if (scales) scales[i] = 2 ** (next() % 8);
        const inside = arena.u8(codes.length);
        inside.set(codes);
        const shape = { grid, rows, stride, cols, values: arena.f32(0) };
        const bytes = await grid.pack(kernels, { ...shape, codes: inside, parameters });
        const back = await grid.unpack(kernels, arena, bytes, rows, cols);
        expect(Buffer.compare(Buffer.from(back.codes ?? []), codes)).toBe(0);
      });
  });
});

const levelCount = (levels: Levels) => {
  if (levels.kind === 'uniform') return levels.max - levels.min + 1;
  return levels.kind === 'table' ? levels.values.length : 0;
};

describe.each(names)('%s', (name) => {
  const { blockSize } = ggufFormats[name];
  const grid = ggufGrids[name];

  test('stores exactly the values that rounding announces', needs(ggmlMissing), async () => {
    const [rows, cols] = [37, 2 * Math.max(blockSize, 32)];
    const data = sample(rows * cols, 23);
    for (const kernels of teams)
      await kernels.scope(async (arena) => {
        const weight = await toPanel(kernels, arena, { rows, cols, data });
        const { stride } = weight;
        const parameters = grid.allocate(arena, rows, cols);
        await grid.fit(kernels, weight, arena.f32(cols).fill(1), parameters, 0);
        const codes = arena.u8(cols * stride);
        const values = arena.f32(cols * stride);
        const { scale, offset } = parameters;
        const levels = levelRecord(arena, grid, parameters);
        const { groupSize } = grid;
        kernels.parallel('roundColumns', stride, {
          weight: weight.data,
          stride,
          cols,
          groupSize,
          scale,
          offset,
          levels,
          codes,
          values,
        });
        const encoded = { grid, rows, stride, cols, codes, parameters, values };
        const expected = ggmlDequantize(name, await grid.pack(kernels, encoded), rows * cols);
        expect(differing(await decoded(kernels, encoded), expected)).toBe(0);
      });
  });
});

/** Floats at and around everything that matters to halves, then any bits, NaN included. */
function awkwardFloats(count: number): Float32Array {
  const next = bitsOf(5);
  const floats = new Float32Array(count);
  const bits = new Uint32Array(floats.buffer);
  const corners = [
    0,
    2 ** -24,
    2 ** -25,
    3 * 2 ** -25,
    2 ** -14,
    1,
    65504,
    65519,
    65520,
    2 ** -126,
    2 ** -149,
    3e38,
  ];
  let i = 0;
  for (const corner of corners)
    for (const step of [-1, 0, 1])
      for (const sign of [0, 0x80000000]) {
        floats[i] = corner;
        bits[i] = (((bits[i] ?? 0) + (corner ? step : 0)) | sign) >>> 0;
        i++;
      }
  floats.set([Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], i);
  for (i += 2; i < count; i++) bits[i] = next();
  // Every exponent that halves reach deserves as many samples as the others.
  for (i = count >> 1; i < count; i++) bits[i] = ((bits[i] ?? 0) & 0x87ffffff) + 0x30000000;
  return floats;
}

describe.each(['f32', 'f16', 'bf16'] as const)('%s', (name) => {
  test('rounds every float as ggml does, and decodes what it wrote', needs(ggmlMissing), async () => {
    const [rows, cols] = [101, 4001];
    const data = awkwardFloats(rows * cols);
    const expected = ggmlQuantize(name, rows, cols, data);
    const grid = ggufGrids[name];
    for (const kernels of teams)
      await kernels.scope(async (arena) => {
        const bytes = new Uint8Array(data.buffer);
        const raw = await ggufGrids.f32.unpack(kernels, arena, bytes, rows, cols);
        const packed = await grid.pack(kernels, { ...raw, grid });
        expect(Buffer.compare(packed, expected)).toBe(0);
        const back = await grid.unpack(kernels, arena, packed, rows, cols);
        expect(differing(await decoded(kernels, back), ggmlDequantize(name, packed, rows * cols))).toBe(0);
      });
  });
});

test('sizes are those of the file; rows of broken blocks and unknown names are refused', async () => {
  expect(ggufGrids.q4_k.bytes(10, 512)).toBe(10 * 2 * 144);
  expect(ggufGrids.bf16.bytes(3, 7)).toBe(42);
  expect(() => ggufGrids.q4_k.bytes(10, 288)).toThrow(
    'type q4_k stores 256 columns together and the rows have 288',
  );
  expect(findGrid('iq4_xs')).toBe(ggufGrids.iq4_xs);
  expect(gridNames).toContain('q6_k');
  expect(findGrid('int3-g64')).toMatchObject({ name: 'int3-g64', groupSize: 64 });
  for (const name of ['q4_z', 'toString']) expect(() => findGrid(name)).toThrow(/there is no type .*q8_0/);
  const [kernels] = teams;
  await expect(
    kernels?.scope((arena) => ggufGrids.q8_0.unpack(kernels, arena, new Uint8Array(33), 1, 32)),
  ).rejects.toThrow('33 bytes are not 1 × 32 weights of type q8_0, which take 34');
});
