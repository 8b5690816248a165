import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needs } from '../../../test/fixtures/needs.js';
import { ggmlDequantize, ggmlMissing } from '../../../test/oracle/ggml.js';
import { uniform } from '../../../test/reference/random.js';
import { createKernels, type Kernels } from '../../kernels/kernels.js';
import { fromPanel } from '../../kernels/panel.js';
import { findGrid } from '../index.js';
import { type LatticeName, latticeFormats, latticeGrids } from './lattice.js';
import { latticePoints, lattices } from './lattices.js';

let teams: Kernels[];
beforeAll(async () => {
  teams = await Promise.all([1, 2].map((threads) => createKernels({ threads })));
});
afterAll(() => {
  for (const kernels of teams) kernels.close();
});

/** Blocks of any bits, whose halves are finite. */
function randomBlocks(name: LatticeName, blocks: number, seed: number): Uint8Array {
  const { blockBytes } = latticeFormats[name];
  const next = uniform(seed);
  const bytes = Uint8Array.from({ length: blocks * blockBytes }, () => Math.floor(next() * 256));
  // The half's highest byte; that of iq1_m lies in the highest bits of the last word.
  const at = name === 'iq1_m' ? 55 : 1;
  for (let block = 0; block < blocks; block++) {
    const high = block * blockBytes + at;
    bytes[high] = (bytes[high] ?? 0) & 0xbf;
  }
  return bytes;
}

describe.each(Object.keys(latticeGrids) as LatticeName[])('%s', (name) => {
  const grid = latticeGrids[name];
  // One row, rows that end inside a tile and a thread's share, and more than one slab.
  test.each([1, 5, 16, 77, 2101])(
    'decodes %i rows of any bits as ggml does',
    needs(ggmlMissing),
    async (rows) => {
      const cols = 3 * grid.blockSize;
      const seed = rows * 7919;
      const bytes = randomBlocks(name, 3 * rows, seed);
      const expected = new Uint32Array(ggmlDequantize(name, bytes, rows * cols).buffer);
      for (const kernels of teams)
        await kernels.scope(async (arena) => {
          const { stride, values: data } = await grid.unpack(kernels, arena, bytes, rows, cols);
          const decoded = (await fromPanel(kernels, { rows, stride, cols, data })).data;
          const bits = new Uint32Array(decoded.buffer, decoded.byteOffset, decoded.length);
          expect(bits.length).toBe(expected.length);
          expect(bits.filter((each, at) => each !== expected[at]).length, `seed ${seed}`).toBe(0);
        });
    },
  );

  test('is read and not written', async () => {
    expect(() => findGrid(name)).toThrow('there is no type');
    const [kernels] = teams;
    await kernels?.scope(async (arena) => {
      expect(() => grid.allocate(arena, 1, 256)).toThrow(`type ${name} is read and not written`);
      await expect(grid.unpack(kernels, arena, new Uint8Array(3), 1, 256)).rejects.toThrow(
        '3 bytes are not 1 × 256',
      );
    });
  });
});

test('lattices have as many points as their indices have values', () => {
  const sizes = Object.entries(lattices).map(([name, lattice]) => [
    name,
    latticePoints(lattice).length / lattice.width,
  ]);
  expect(Object.fromEntries(sizes)).toEqual({
    iq1: 2048,
    iq2xxs: 256,
    iq2xs: 512,
    iq2s: 1024,
    iq3xxs: 256,
    iq3s: 512,
  });
});
