import { describe, expect, test } from 'vitest';
import { quantize, total } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { createKernels } from '../../kernels/kernels.js';
import { toPanel } from '../../kernels/panel.js';
import type { Matrix } from '../../types.js';
import { findGrid } from '../index.js';
import { findFloatGrid } from './float.js';
import { rankFloatSplits } from './float-split.js';
import { floatValues, powersOfTwo } from './float-values.js';

const seed = 17;
const matrix = (rows: number, cols: number, data = normals(rows * cols, seed)): Matrix => ({
  rows,
  cols,
  data,
});
const magnitudes = (exponentBits: number, mantissaBits: number) =>
  [...floatValues({ exponentBits, mantissaBits })].filter((value) => value >= 0);

describe('the values of float formats', () => {
  // OCP Microscaling Formats 1.0, tables 2 to 5, and OFP8 1.0, table 1.
  test('are those of the OCP tables', () => {
    expect(magnitudes(2, 1)).toEqual([0, 0.5, 1, 1.5, 2, 3, 4, 6]);
    expect(magnitudes(3, 0)).toEqual([0, 0.25, 0.5, 1, 2, 4, 8, 16]);
    const e2m3 = magnitudes(2, 3);
    expect([e2m3.length, e2m3[1], e2m3[7], e2m3[8], e2m3.at(-1)]).toEqual([32, 0.125, 0.875, 1, 7.5]);
    const e3m2 = magnitudes(3, 2);
    expect([e3m2.length, e3m2[1], e3m2[3], e3m2[4], e3m2.at(-1)]).toEqual([32, 0.0625, 0.1875, 0.25, 28]);
    const e4m3 = magnitudes(4, 3);
    expect([e4m3.length, e4m3[1], e4m3[7], e4m3[8], e4m3.at(-1)]).toEqual([
      127,
      2 ** -9,
      0.875 * 2 ** -6,
      2 ** -6,
      448,
    ]);
    const e5m2 = magnitudes(5, 2);
    expect([e5m2.length, e5m2[1], e5m2[3], e5m2[4], e5m2.at(-1)]).toEqual([
      124,
      2 ** -16,
      0.75 * 2 ** -14,
      2 ** -14,
      57344,
    ]);
  });

  test('stand in the order of their bit patterns, with the negative ones mirrored', () => {
    const values = floatValues({ exponentBits: 4, mantissaBits: 3 });
    expect(values.toReversed().map((value) => -value + 0)).toEqual(values);
    for (let pattern = 1; pattern < 127; pattern++) {
      const [exponent, mantissa] = [pattern >> 3, pattern & 7];
      const value = exponent ? (1 + mantissa / 8) * 2 ** (exponent - 7) : (mantissa / 8) * 2 ** -6;
      expect(values[126 + pattern]).toBe(value);
    }
  });

  test('of scales are powers of two from 2^−127 on', () => {
    expect([powersOfTwo[0], powersOfTwo[127], powersOfTwo[254]]).toEqual([2 ** -127, 1, 2 ** 127]);
  });
});

const types = [
  'fp3-e1m1',
  'fp4-e2m1',
  'fp4-e3m0',
  'fp5-e2m2',
  'fp6-e2m3',
  'fp6-e3m2',
  'fp8-e4m3',
  'fp8-e5m2',
];
const suffixes = ['', '-channel', '-g16', '-g64', '-pow2', '-channel-pow2'];

describe('float grids', () => {
  test.each([...types.flatMap((type) => suffixes.map((suffix) => type + suffix)), 'nvfp4'])(
    '%s is packed and unpacked to the same, of every size of weights',
    async (type) => {
      const cols = type.includes('channel') ? 37 : 64;
      const sizes = Float32Array.from([1, 3e-4, 1e-9, 2e4, 0]);
      const data = normals(5 * cols, seed).map((x, i) => x * (sizes[Math.floor(i / cols)] ?? 1));
      const { values } = await quantize(kernels, type, matrix(5, cols, data));
      expect(values.every(Number.isFinite)).toBe(true);
    },
  );

  test('lose at most half a step of the format on every weight, when scales are fitted', async () => {
    const { values } = await quantize(kernels, 'fp8-e4m3', matrix(8, 64));
    const data = normals(8 * 64, seed);
    const worst = data.reduce(
      (most, w, i) => Math.max(most, Math.abs(w - (values[i] ?? 0)) / Math.abs(w)),
      0,
    );
    expect(worst, `seed ${seed}`).toBeLessThan(1 / 16 + 1 / 100);
  });

  test('with powers of two have such scales', async () => {
    for (const type of ['fp4-e2m1-pow2', 'fp8-e4m3-pow2']) {
      const { scale } = await quantize(kernels, type, matrix(8, 64));
      expect(scale.every((s) => Number.isInteger(Math.log2(s)))).toBe(true);
    }
  });

  test('of E2M1 with powers of two are GGUF’s MXFP4', async () => {
    const weight = matrix(16, 256);
    const [own, mxfp4] = [
      await quantize(kernels, 'fp4-e2m1-pow2', weight),
      await quantize(kernels, 'mxfp4', weight),
    ];
    expect(own.values).toEqual(mxfp4.values);
    expect(own.bytes.length).toBe(mxfp4.bytes.length);
  });

  test.each(['fp4-e2m1', 'fp8-e4m3-channel', 'nvfp4'])('%s: threads change nothing', async (type) => {
    const alone = await createKernels();
    const weight = matrix(70, 128);
    expect(await quantize(alone, type, weight)).toEqual(await quantize(kernels, type, weight));
    alone.close();
  });

  test('have names, and nothing else does', () => {
    expect(findFloatGrid('fp4-e2m1')).toMatchObject({ groupSize: 32, blockBytes: 18 });
    expect(findFloatGrid('fp6-e3m2-g64-pow2')).toMatchObject({ groupSize: 64, blockBytes: 49 });
    for (const name of [
      'fp4',
      'fp4-e2m2',
      'fp9-e4m4',
      'fp2-e1m0',
      'fp8-e4m3-g8',
      'fp8-e0m7',
      'fp8-e4m3-pow2-g32',
    ])
      expect(findFloatGrid(name), name).toBeUndefined();
  });
});

describe('nvfp4', () => {
  test('has scales that are E4M3 values times one number', async () => {
    const { bytes, scale } = await quantize(kernels, 'nvfp4', matrix(8, 64));
    const unit = new DataView(bytes.buffer).getFloat32(bytes.length - 4, true);
    const allowed = new Set(magnitudes(4, 3).map((value) => Math.fround(value * unit)));
    expect(scale.every((s) => allowed.has(s))).toBe(true);
    expect(findGrid('nvfp4').bytes(8, 64)).toBe(8 * 4 * 9 + 4);
  });

  test('beats MXFP4 on layers of a language model', async () => {
    for (const { name, ...layer } of await talesLayers()) {
      const [own, other] = [await quantize(kernels, 'nvfp4', layer), await quantize(kernels, 'mxfp4', layer)];
      expect(total(own.errors) / total(other.errors), name).toBeLessThan(0.75);
    }
  });
});

describe('the best split of the bits', () => {
  const rank = (data: Float32Array, bits: number, suffix: string, importance?: readonly number[]) =>
    kernels.scope(async (arena) => {
      const weight = await toPanel(kernels, arena, { rows: 16, cols: 128, data });
      const weights = arena.f32(128).fill(1);
      if (importance) weights.set(importance);
      return (await rankFloatSplits(kernels, weight, weights, bits, suffix)).map(({ grid }) => grid.name);
    });

  test('has more exponent the heavier the tails', async () => {
    const random = uniform(seed);
    const flat = Float32Array.from({ length: 16 * 128 }, () => random() - 0.5);
    const heavy = normals(16 * 128, seed).map((x, i) => (i % 128 ? x : 30));
    expect((await rank(flat, 4, '-channel'))[0]).toBe('fp4-e1m2-channel');
    expect((await rank(normals(16 * 128, seed), 4, '-channel'))[0]).toBe('fp4-e2m1-channel');
    expect((await rank(heavy, 6, '-channel'))[0]).toBe('fp6-e3m2-channel');
    expect((await rank(normals(16 * 128, seed), 6, '-channel'))[0]).toBe('fp6-e2m3-channel');
  });

  test('names every split once, by its error', async () => {
    const names = await rank(normals(16 * 128, seed), 6, '');
    expect([...names].sort()).toEqual(['fp6-e1m4', 'fp6-e2m3', 'fp6-e3m2', 'fp6-e4m1', 'fp6-e5m0']);
  });
});
