import { describe, expect, test } from 'vitest';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { toPanel } from '../../kernels/panel.js';
import type { Encoded, Grid } from '../grid.js';
import { roundPanel } from '../round.js';
import { findIntegerGrid } from './integer.js';

const seed = 20240607;

/** Roughly normal numbers, the same in every run. */
function gaussian(count: number): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () => uniform() + uniform() + uniform() + uniform() - 2);
}

function grid(name: string): Grid {
  const found = findIntegerGrid(name);
  if (!found) throw new Error(`no grid ${name}`);
  return found;
}

/** Fits and rounds; everything is copied out of the kernels' memory. */
async function quantize(name: string, rows: number, cols: number, data: Float32Array, weights?: number[]) {
  return await kernels.scope(async (arena) => {
    const weight = await toPanel(kernels, arena, { rows, cols, data });
    const importance = arena.f32(cols).fill(1);
    if (weights) importance.set(weights);
    const parameters = grid(name).allocate(arena, rows, cols);
    const codes = arena.u8(cols * weight.stride);
    const values = arena.f32(cols * weight.stride);
    await grid(name).fit(kernels, weight, importance, parameters, 0);
    await roundPanel(kernels, weight, grid(name), parameters, { codes, values });
    const encoded: Encoded = {
      grid: grid(name),
      rows,
      cols,
      stride: weight.stride,
      codes,
      parameters,
      values,
    };
    const bytes = await grid(name).pack(kernels, encoded);
    const again = await grid(name).unpack(kernels, arena, bytes, rows, cols);
    let error = 0;
    for (let r = 0; r < rows; r++)
      for (let c = 0; c < cols; c++)
        error +=
          (importance[c] ?? 0) * ((data[r * cols + c] ?? 0) - (values[c * weight.stride + r] ?? 0)) ** 2;
    const row = (array: ArrayLike<number>, r: number) =>
      Array.from({ length: cols }, (_, c) => array[c * weight.stride + r]);
    return {
      bytes,
      error,
      scale: parameters.scale.slice(),
      values: Array.from({ length: rows }, (_, r) => row(values, r)),
      unpacked: Array.from({ length: rows }, (_, r) => row(again.values, r)),
      sameCodes: Array.from(
        { length: rows },
        (_, r) => String(row(codes, r)) === String(row(again.codes ?? [], r)),
      ),
    };
  });
}

const sharings = ['', '-g16', '-g64', '-g256', '-channel', '-tensor'];
const names = [1, 2, 3, 4, 5, 6, 7, 8].flatMap((bits) =>
  sharings.flatMap((sharing) => [`int${bits}${sharing}`, `int${bits}${sharing}-asym`]),
);

describe('integer grids', () => {
  test('have names and nothing else does', () => {
    expect(grid('int4')).toMatchObject({ groupSize: 32, blockBytes: 18 });
    expect(grid('int3-g64-asym')).toMatchObject({ groupSize: 64, blockBytes: 28 });
    expect(grid('int8-channel').bytes(3, 10)).toBe(3 * (10 + 2));
    expect(grid('int3-tensor-asym').bytes(3, 10)).toBe(3 * 4 + 4);
    for (const name of ['int9', 'int0', 'int4-g24', 'int4-row', 'int', 'q4_0', 'int4-asym-g32'])
      expect(findIntegerGrid(name), name).toBeUndefined();
  });

  test.each(names)('%s is packed and unpacked to the same', async (name) => {
    const [rows, cols] = [21, 256];
    const { bytes, values, unpacked, sameCodes } = await quantize(name, rows, cols, gaussian(rows * cols));
    expect(bytes.length).toBe(grid(name).bytes(rows, cols));
    expect(sameCodes).not.toContain(false);
    expect(unpacked).toEqual(values);
  });

  test('rows that groups do not divide are refused, channels take any', async () => {
    await expect(quantize('int4', 2, 40, gaussian(80))).rejects.toThrow(/32 columns together.*40/);
    for (const name of ['int1-channel', 'int3-channel', 'int5-tensor-asym']) {
      const { values, unpacked } = await quantize(name, 5, 37, gaussian(5 * 37));
      expect(unpacked, name).toEqual(values);
    }
  });

  test('the layout is as documented', async () => {
    // Levels −4 … 3 times 0.5; the row's largest weight is −2, so that the scale is exact.
    const data = Float32Array.of(-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, -2, 0);
    const { bytes, scale } = await quantize('int3-channel', 1, 10, data);
    expect(scale[0]).toBe(0.5);
    const codes = [0, 1, 2, 3, 4, 5, 6, 7, 0, 4];
    const bits = codes.reduce((sum, code, i) => sum + BigInt(code) * 2n ** BigInt(3 * i), 0n);
    expect([...bytes]).toEqual([
      ...[0, 8, 16, 24].map((shift) => Number((bits >> BigInt(shift)) & 255n)),
      0,
      0x38,
    ]);
  });

  test('more bits and finer sharing lose less, on average', async () => {
    const data = gaussian(32 * 256).map((x, i) => x * (1 + (i % 7)));
    const loss = async (name: string) => (await quantize(name, 32, 256, data)).error;
    for (const suffix of ['', '-asym']) {
      const chain = [
        'int2-tensor',
        'int2-channel',
        'int2-g64',
        'int2-g16',
        'int3-g16',
        'int5-g16',
        'int8-g16',
      ];
      // One after the other: the kernels' memory is a stack.
      const losses: number[] = [];
      for (const name of chain) losses.push(await loss(name + suffix));
      expect(losses, `seed ${seed}`).toEqual([...losses].sort((a, b) => b - a));
    }
    expect(await loss('int4-asym')).toBeLessThan(await loss('int4'));
  });

  test('one scale for a tensor is as good as the best of a dense search', async () => {
    const [rows, cols] = [9, 64];
    const data = gaussian(rows * cols);
    const weights = Array.from({ length: cols }, (_, i) => (i % 5 ? 1 : 20));
    const { error, scale } = await quantize('int3-tensor', rows, cols, data, weights);
    const dense = (s: number) =>
      data.reduce((sum, w, i) => {
        const level = Math.min(3, Math.max(-4, Math.round(w / s)));
        return sum + (weights[i % cols] ?? 0) * (w - s * level) ** 2;
      }, 0);
    let best = Infinity;
    for (let s = 0.1; s < 1; s *= 1.0005) best = Math.min(best, dense(s), dense(-s));
    expect(error, `seed ${seed}`).toBeLessThanOrEqual(best * 1.003);
    expect(new Set(scale.subarray(0, rows)).size).toBe(1);
  });

  test('an offset for a tensor finds a distribution that is not around zero', async () => {
    const data = gaussian(40 * 32).map((x) => 7 + 0.1 * x);
    const { error } = await quantize('int4-tensor-asym', 40, 32, data);
    expect(error / data.length, `seed ${seed}`).toBeLessThan((0.4 / 15) ** 2 / 12);
  });
});
