import { expect, test } from 'vitest';
import { quantize } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { normals } from '../../../test/reference/random.js';
import { fromPanel } from '../../kernels/panel.js';
import { findGrid } from '../index.js';
import { findRowMixGrid, joinRows, type RowMixGrid, spellOut } from './row-mix.js';

const [rows, cols] = [37, 64];
const data = normals(rows * cols, 5);

function gridOf(name: string): RowMixGrid {
  const grid = findRowMixGrid(name);
  if (!grid) throw new Error(`no grid ${name}`);
  return grid;
}

const unpack = (grid: RowMixGrid, bytes: Uint8Array) =>
  kernels.scope(async (arena) => {
    const encoded = await grid.unpack(kernels, arena, bytes, rows, cols);
    expect(await grid.pack(kernels, encoded)).toEqual(bytes);
    return (await fromPanel(kernels, { ...encoded, data: encoded.values })).data;
  });

test.each([
  ['int4-r10', [0, 7, 9, 36]],
  ['int3-g64-asym-r5', [8, 15]],
  ['int2-channel-r0.01', [36]],
  ['int1-g16-r99', Array.from({ length: 37 }, (_, row) => row)],
])('%s puts rows of both precisions where they belong', async (name, chosen) => {
  const grid = gridOf(name);
  expect(grid.room(rows)).toBe(chosen.length);
  const low = await quantize(kernels, grid.low.name, { rows, cols, data });
  const part = Float32Array.from(chosen.flatMap((row) => [...data.subarray(row * cols, (row + 1) * cols)]));
  const high = await quantize(kernels, grid.high.name, { rows: chosen.length, cols, data: part });
  const bytes = joinRows(grid, rows, cols, chosen, low.bytes, high.bytes);
  expect(bytes.length).toBe(grid.bytes(rows, cols));
  const values = await unpack(grid, bytes);
  for (let row = 0; row < rows; row++) {
    const place = chosen.indexOf(row);
    const [source, at] = place < 0 ? [low.values, row] : [high.values, place];
    expect(values.subarray(row * cols, (row + 1) * cols)).toEqual(
      source.subarray(at * cols, (at + 1) * cols),
    );
  }
});

test('names', () => {
  for (const name of ['int4-r0', 'int4-r100', 'int8-r10', 'int4-tensor-r10', 'int4-g7-r10', 'int4-s1-r10']) {
    expect(findRowMixGrid(name), name).toBeUndefined();
  }
  expect(findGrid('int4-g32-asym-r12.5')).toMatchObject({ name: 'int4-g32-asym-r12.5', groupSize: 32 });
  const spelt = spellOut(['int4-g64-r*', 'f16']);
  expect(spelt.slice(0, 2)).toEqual(['int4-g64', 'int4-g64-r1']);
  expect(spelt.slice(-2)).toEqual(['int8-g64', 'f16']);
  for (const name of spelt) expect(findGrid(name).name).toBe(name);
});

test('a mask that does not fit the type is refused', async () => {
  const grid = gridOf('int4-r10');
  await expect(unpack(grid, new Uint8Array(grid.bytes(rows, cols)))).rejects.toThrow('0 rows have 8 bits');
  await expect(unpack(grid, new Uint8Array(9))).rejects.toThrow('9 bytes are not');
});
