import { describe, expect, test } from 'vitest';
import { quantize, total } from '../../../test/fixtures/grids.js';
import { kernels } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { createKernels } from '../../kernels/kernels.js';
import { toPanel } from '../../kernels/panel.js';
import type { Matrix } from '../../types.js';
import { findGrid } from '../index.js';
import { findPowerGrid } from './power.js';

const seed = 23;
const matrix = (rows: number, cols: number, data = normals(rows * cols, seed)): Matrix => ({
  rows,
  cols,
  data,
});

/** The stored exponents: the last byte of every row, in eighths. */
function exponents({ bytes }: { readonly bytes: Uint8Array }, rows: number): number[] {
  const rowBytes = bytes.length / rows;
  return Array.from({ length: rows }, (_, row) => (bytes[(row + 1) * rowBytes - 1] ?? 0) / 8);
}

describe('power grids', () => {
  test.each(['power2', 'power3-g64', 'power4', 'power4-channel'])(
    '%s is packed and unpacked to the same',
    async (type) => {
      const { values, codebook, bytes } = await quantize(kernels, type, matrix(21, 64));
      expect(values.every(Number.isFinite)).toBe(true);
      const half = 2 ** (Number(type[5]) - 1);
      for (const [row, exponent] of exponents({ bytes }, 21).entries()) {
        for (let i = -half; i < half; i++)
          expect(codebook?.[(i + half) * 24 + row]).toBeCloseTo(
            Math.sign(i) * Math.abs(i / half) ** exponent,
            6,
          );
      }
    },
  );

  test.each([
    ['power3-channel', 'int3-channel'],
    ['power4-channel', 'int4-channel'],
    ['power4-g128', 'int4-g128'],
  ])('%s beats %s on bell-shaped weights, by more than its bytes are worth', async (type, uniformType) => {
    for (const { rows, cols, data } of [matrix(64, 512), ...(await talesLayers())]) {
      const [own, other] = [
        await quantize(kernels, type, { rows, cols, data }),
        await quantize(kernels, uniformType, { rows, cols, data }),
      ];
      // A bit more halves the error twice.
      const moreBits = (8 * (own.bytes.length - other.bytes.length)) / (rows * cols);
      expect(total(own.errors) / total(other.errors), `seed ${seed}`).toBeLessThan(4 ** -moreBits);
    }
  });

  test('take the exponent that suits the row, small for flat ones', async () => {
    const random = uniform(seed);
    const flat = Float32Array.from({ length: 8 * 256 }, () => 2 * random() - 1);
    const mild = exponents(await quantize(kernels, 'power4-channel', matrix(8, 256, flat)), 8);
    expect(mild.filter((exponent) => exponent === 1).length, `seed ${seed}`).toBeGreaterThan(4);
    expect(Math.max(...mild), `seed ${seed}`).toBeLessThan(1.3);
    const peaked = normals(8 * 256, seed).map((x) => x ** 3);
    const found = exponents(await quantize(kernels, 'power4-channel', matrix(8, 256, peaked)), 8);
    expect(Math.min(...found), `seed ${seed}`).toBeGreaterThan(1.5);
  });

  test('keep it when more columns are fitted', async () => {
    const grid = findGrid('power4');
    await kernels.scope(async (arena) => {
      const weight = await toPanel(kernels, arena, matrix(8, 128));
      const importance = arena.f32(128).fill(1);
      const parameters = grid.allocate(arena, 8, 128);
      await grid.fit(kernels, weight, importance, parameters, 0);
      const { exponent } = parameters.stored;
      const before = [exponent?.slice(), parameters.scale.slice(8)];
      const flat = await toPanel(
        kernels,
        arena,
        matrix(
          8,
          32,
          new Float32Array(256).map((_, i) => (i % 13) - 6),
        ),
      );
      await grid.fit(kernels, flat, importance.subarray(0, 32), parameters, 0);
      expect([exponent, parameters.scale.slice(8)]).toEqual(before);
    });
  });

  test('are the same with any number of threads', async () => {
    const alone = await createKernels();
    const weight = matrix(70, 128);
    expect(await quantize(alone, 'power3', weight)).toEqual(await quantize(kernels, 'power3', weight));
    alone.close();
  });

  test('have names, and nothing else does', () => {
    expect(findPowerGrid('power4')?.bytes(3, 64)).toBe(3 * (2 * 18 + 1));
    for (const name of ['power', 'power5', 'power1', 'power4-g8', 'power4-tensor'])
      expect(findPowerGrid(name), name).toBeUndefined();
  });
});
