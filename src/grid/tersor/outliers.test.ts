import { describe, expect, test } from 'vitest';
import { quantize } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { fromPanel, strideOf, toPanel } from '../../kernels/panel.js';
import { findGrid } from '../index.js';
import { roundPanel } from '../round.js';
import { findOutlierGrid, outliersOf } from './outliers.js';

const seed = 61;

function gridOf(name: string) {
  const grid = findOutlierGrid(name);
  if (!grid) throw new Error(`no grid ${name}`);
  return grid;
}

/** Packs random weights on a grid with these outliers (halves), and what comes back of the bytes. */
function roundTrip(name: string, rows: number, cols: number, sparse: ReadonlyMap<string, number>) {
  const grid = gridOf(name);
  return kernels.scope(async (arena) => {
    const data = normals(rows * cols, seed);
    const weight = await toPanel(kernels, arena, { rows, cols, data });
    const parameters = grid.allocate(arena, rows, cols);
    const stride = strideOf(rows);
    const [codes, values] = [arena.u8(cols * stride), arena.f32(cols * stride)];
    await grid.fit(kernels, weight, arena.f32(cols).fill(1), parameters, 0);
    await roundPanel(kernels, weight, grid, parameters, { codes, values });
    const { outliers, columns } = outliersOf(parameters);
    const used = [...new Set([...sparse.keys()].map((key) => Number(key.split(' ')[1])))];
    columns?.set(used.concat(Array.from(columns.keys(), (i) => cols - 1 - i)).slice(0, columns.length));
    const expected = (await fromPanel(kernels, { ...weight, data: values })).data;
    for (const [key, value] of sparse) {
      const [row = 0, col = 0] = key.split(' ').map(Number);
      outliers[col * stride + row] = value;
      values[col * stride + row] = (values[col * stride + row] ?? 0) + value;
      expected[row * cols + col] = (expected[row * cols + col] ?? 0) + value;
    }
    const bytes = await grid.pack(kernels, { grid, rows, cols, stride, codes, parameters, values });
    const read = await grid.unpack(kernels, arena, bytes, rows, cols);
    return { bytes, expected, values: (await fromPanel(kernels, { ...weight, data: read.values })).data };
  });
}

/** Random places and halves; the first and last weight among them. */
function randomOutliers(rows: number, cols: number, count: number): Map<string, number> {
  const random = uniform(seed);
  const at = (below: number) => Math.floor(random() * below);
  const sparse = new Map([
    ['0 0', -3.5],
    [`${rows - 1} ${cols - 1}`, 2 ** -24],
  ]);
  while (sparse.size < count) sparse.set(`${at(rows)} ${at(cols)}`, (1 + at(4000)) / 128 - 17);
  return sparse;
}

describe('grids with outliers', () => {
  test.each([
    ['int3-g32-s1', 37, 96],
    ['int2-channel-asym-s10', 5, 33],
    ['codebook3-s0.5', 16, 200],
    ['int4-g64-s0.01', 64, 64],
  ])('%s is packed and read exactly, at %i × %i', async (name, rows, cols) => {
    const room = gridOf(name).room(rows, cols);
    for (const count of new Set([Math.min(2, room), room])) {
      const sparse = count < 2 ? new Map([['3 5', -3.5]]) : randomOutliers(rows, cols, count);
      const { bytes, values, expected } = await roundTrip(name, rows, cols, sparse);
      expect(bytes.length).toBe(gridOf(name).bytes(rows, cols));
      expect(values).toEqual(expected);
    }
    await expect(roundTrip(name, rows, cols, randomOutliers(rows, cols, room + 2))).rejects.toThrow('room');
  });

  test.each(['int3-g32-c4', 'int8-channel-c10'])('%s is packed and read exactly', async (name) => {
    const room = gridOf(name).room(21, 64);
    const columns = [63, 0, 17, 5, 40, 41].slice(0, room);
    const sparse = new Map(
      columns.flatMap((col) => [0, 20].map((row) => [`${row} ${col}`, row - 2.5] as const)),
    );
    const { bytes, values, expected } = await roundTrip(name, 21, 64, sparse);
    expect(bytes.length).toBe(gridOf(name).base.bytes(21, 64) + room * (2 + 2 * 21));
    expect(values).toEqual(expected);
  });

  test('the bytes are what the description says', async () => {
    const [rows, cols] = [20, 64];
    const sparse = new Map([
      ['7 0', 1.5],
      ['2 9', -2],
      ['19 63', 0.25],
    ]);
    const { bytes } = await roundTrip('int3-g64-s1', rows, cols, sparse);
    // Room for 13 of 1280: six low bits of each position, and 13 + 20 + 1 bits for the rest.
    const [base, low, high] = [findGrid('int3-g64').bytes(rows, cols), 10, 5];
    expect(bytes.length).toBe(base + 4 + low + high + 26);
    expect([...bytes.subarray(base, base + 4)]).toEqual([3, 0, 0, 0]);
    const bit = (from: number, i: number) => ((bytes[from + (i >> 3)] ?? 0) >> (i & 7)) & 1;
    const positions: number[] = [];
    for (let place = 0; place < 8 * high; place++) {
      if (!bit(base + 4 + low, place)) continue;
      const i = positions.length;
      const rest = [0, 1, 2, 3, 4, 5].reduce((sum, b) => sum + (bit(base + 4, 6 * i + b) << b), 0);
      positions.push(((place - i) << 6) + rest);
    }
    expect(positions).toEqual([7, 9 * rows + 2, 63 * rows + 19]);
    const halves = [...bytes.subarray(base + 4 + low + high, base + 4 + low + high + 6)];
    expect(halves).toEqual([0x00, 0x3e, 0x00, 0xc0, 0x00, 0x34]);
  });

  test('fitted by themselves are the grid without outliers', async () => {
    const weight = { rows: 10, cols: 128, data: normals(1280, seed) };
    for (const name of ['int3-g64', 'codebook3']) {
      const plain = await quantize(kernels, name, weight);
      for (const suffix of ['-s1', '-c2'])
        expect((await quantize(kernels, name + suffix, weight)).values).toEqual(plain.values);
    }
  });

  test('refuse files whose outliers are nowhere', async () => {
    const read = (name: string, bytes: Uint8Array) =>
      kernels.scope((arena) => gridOf(name).unpack(kernels, arena, bytes, 20, 64));
    const base = findGrid('int3-g64').bytes(20, 64);
    const whole = (await roundTrip('int3-g64-s1', 20, 64, new Map([['7 0', 1.5]]))).bytes;
    await expect(read('int3-g64-s1', whole.subarray(1))).rejects.toThrow('take');
    for (const [at, value] of [
      [base, 14], // more than there is room for
      [base, 2], // one whose place is not there
      [base + 4 + 10, 0],
    ] as const) {
      const broken = whole.slice();
      broken[at] = value;
      await expect(read('int3-g64-s1', broken), `byte ${at}`).rejects.toThrow('not in order');
    }
    const columns = (await roundTrip('int3-g64-c3', 20, 64, new Map([['7 0', 1.5]]))).bytes;
    columns[base] = 64;
    await expect(read('int3-g64-c3', columns)).rejects.toThrow('column 64');
    columns[base] = columns[base + 2] ?? 0;
    await expect(read('int3-g64-c3', columns)).rejects.toThrow('twice');
  });

  test('have names, and nothing else does', () => {
    for (const name of ['int3-s1', 'int4-g128-asym-s0.25', 'codebook2-c1', 'int3-channel-s10'])
      expect(findOutlierGrid(name)?.name).toBe(name);
    for (const name of [
      'int3-s0',
      'int3-s11',
      'int3-tensor-s1',
      'q4_0-s1',
      'int3-s',
      'int3-s1-s1',
      'int3-ada-s1',
    ])
      expect(findOutlierGrid(name), name).toBeUndefined();
  });
});
