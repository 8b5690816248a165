import { describe, expect, test } from 'vitest';
import { kernels, randomLayer } from '../../../test/fixtures/solver-context.js';
import { damped, element, orderOf, withLayer } from '../../../test/fixtures/vector-layer.js';
import { normals } from '../../../test/reference/random.js';
import { choleskyReference } from '../../../test/reference/solvers.js';
import { decodeCells } from '../../grid/vector/format.js';
import { startCodebooks } from './codebook.js';

describe('assignment', () => {
  test.each([
    [2, 16],
    [3, 8],
    [5, 64],
    [8, 4],
  ])('finds the nearest of all codewords in %i dimensions', async (d, size) => {
    const [rows, seed] = [37, 11 * d];
    const [stride, next] = [40, normals(100_000, seed).values()];
    const draw = () => next.next().value ?? Number.NaN;
    await kernels.scope((arena) => {
      const make = (length: number) => {
        const array = arena.f32(length);
        for (const i of array.keys()) array[i] = draw();
        return array;
      };
      const [base, sums, factor, shift, codebook] = [
        make(d * stride),
        make(d * stride),
        make(d * d),
        make(d * d),
        make(size * d),
      ];
      const scale = make(stride);
      const columns = arena.i32(d);
      for (const i of columns.keys()) columns[i] = i;
      const tiles = arena.f32(size * (d + 1));
      const codes = arena.u16(stride);
      const deltas = arena.f32(d * stride);
      const scratch = arena.f32(2 * d * (stride + 16));
      const before = sums.slice();
      const coupling = make(d * d);
      kernels.call('tileCodebook', { codebook, size, d, factor, tiles });
      kernels.parallel('sweepVector', stride, {
        stride,
        d,
        columns,
        base,
        kept: false,
        sums,
        deltas,
        at: 0,
        to: d,
        shift,
        factor,
        coupling,
        pitch: d,
        scale,
        codebook,
        tiles,
        size,
        codes,
        noise: undefined,
        temperatures: undefined,
        scratch,
      });
      for (let row = 0; row < rows; row++) {
        const r = element(scale, row);
        const target = Array.from({ length: d }, (_, i) => {
          let t = element(base, i * stride + row);
          for (let p = 0; p < d; p++) t += element(before, p * stride + row) * element(shift, p * d + i);
          return t / r;
        });
        const distance = (code: number) => {
          let total = 0;
          for (let i = 0; i < d; i++) {
            let sum = 0;
            for (let p = 0; p < d; p++)
              sum += (element(target, p) - element(codebook, code * d + p)) * element(factor, p * d + i);
            total += sum ** 2;
          }
          return total;
        };
        const best = Math.min(...Array.from({ length: size }, (_, code) => distance(code)));
        const found = element(codes, row);
        const norm = target.reduce((sum, t) => sum + t * t, 1);
        expect(distance(found), `seed ${seed}, row ${row}`).toBeLessThanOrEqual(best + 1e-4 * norm);
        for (let j = 0; j < d; j++) {
          let sum = element(before, j * stride + row);
          for (let i = 0; i < d; i++) {
            const delta = element(base, i * stride + row) - r * element(codebook, found * d + i);
            expect(element(deltas, i * stride + row)).toBeCloseTo(delta, 4);
            sum += delta * element(coupling, i * d + j);
          }
          expect(element(sums, j * stride + row)).toBeCloseTo(sum, 2);
        }
      }
    });
  });

  test('under noise chooses as often as at its temperature', async () => {
    const [rows, size, temperature, factor, scale] = [4096, 1024, 2, 2, 0.5];
    await kernels.scope((arena) => {
      const array = (length: number, value = 0) => arena.f32(length).fill(value);
      const codebook = array(size);
      for (const code of codebook.keys()) codebook[code] = (code - size / 2) / 64;
      const tiles = array(2 * size);
      kernels.call('tileCodebook', { codebook, size, d: 1, factor: array(1, factor), tiles });
      const codes = arena.u16(rows);
      const states = arena.i32(rows);
      kernels.parallel('startNoise', rows, { seed: 1, states });
      kernels.parallel('sweepVector', rows, {
        stride: rows,
        d: 1,
        columns: arena.i32(1),
        base: undefined,
        kept: false,
        sums: array(rows),
        deltas: array(rows),
        at: 0,
        to: 0,
        shift: array(1),
        factor: array(1, factor),
        coupling: array(1),
        pitch: 1,
        scale: array(rows, scale),
        codebook,
        tiles,
        size,
        codes,
        noise: states,
        temperatures: array(rows, 6 * temperature),
        scratch: array(2 * (rows + 16)),
      });
      const values = Array.from(codes, (code) => scale * element(codebook, code));
      const mean = values.reduce((sum, value) => sum + value, 0) / rows;
      const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / rows;
      const expected = temperature / (2 * factor ** 2);
      expect(Math.abs(mean)).toBeLessThan(4 * Math.sqrt(expected / rows));
      expect(variance / expected).toBeCloseTo(1, 1);
      expect(Math.max(...values.map(Math.abs))).toBeLessThan(Math.sqrt(3 * expected) + 1 / 64);
    });
  });

  test('with error feedback takes what is best for the block given the errors so far', async () => {
    const seed = 21;
    const example = await randomLayer(12, 56, seed, { outliers: 0.05 });
    await withLayer(example, 'vq-d3-k16-o2', async ({ layer, arena, assign }) => {
      await startCodebooks(layer, 5, 0);
      await assign();
      const { cols, stride, data } = layer.weight;
      const order = orderOf(layer, example.weight);
      expect(order.toSorted((x, y) => x - y)).toEqual(Array.from({ length: cols }, (_, i) => i));
      const lower = choleskyReference(damped(example.gram, order), cols);
      const decoded = arena.f32(cols * stride);
      decodeCells(kernels, layer.cells, layer.scale, decoded);
      for (let row = 0; row < example.weight.rows; row++) {
        const w = (j: number) => element(data, j * stride + row);
        for (const { at, columns, stages } of layer.cells) {
          const [d, stage] = [columns.length, stages[0]];
          /** |Σ_{k ≥ at} Δ_k L_kj|² over the columns j of the cell, for a code of the cell. */
          const loss = (code: number) => {
            let total = 0;
            for (let j = at; j < at + d; j++) {
              let sum = 0;
              for (let k = at; k < cols; k++) {
                const own = k < at + d;
                const entry = element(stage?.entries ?? [], code * d + k - at);
                const value = own ? element(layer.scale, row) * entry : element(decoded, k * stride + row);
                // L is zero above its diagonal.
                if (k >= j) sum += (w(k) - value) * element(lower, k * cols + j);
              }
              total += sum ** 2;
            }
            return total;
          };
          const least = Math.min(...Array.from({ length: stage?.size ?? 0 }, (_, code) => loss(code)));
          const taken = loss(element(stage?.codes ?? [], row));
          expect(taken, `seed ${seed}, row ${row}, position ${at}`).toBeLessThanOrEqual(least + 1e-4);
        }
      }
    });
  });
});
