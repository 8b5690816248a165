import { describe, expect, test } from 'vitest';
import { randomLayer } from '../../../test/fixtures/solver-context.js';
import { damped, element, orderOf, withLayer } from '../../../test/fixtures/vector-layer.js';
import { uniform } from '../../../test/reference/random.js';
import { choleskyReference, energyReference } from '../../../test/reference/solvers.js';
import { fitCodebooks, startCodebooks } from './codebook.js';
import { refine } from './refine.js';
import { measure, residualSpace } from './residual.js';

describe('joint refinement', () => {
  test('fits entries as well as the dense normal equations', async () => {
    const seed = 31;
    const example = await randomLayer(20, 24, seed);
    await withLayer(example, 'vq-d2-k8', async ({ layer, arena }) => {
      const { rows, cols, stride, data } = layer.weight;
      const codes = uniform(seed);
      for (const { stages } of layer.cells)
        for (const stage of stages)
          for (let row = 0; row < rows; row++) stage.codes[row] = Math.floor(stage.size * codes());
      let residual = await measure(layer, residualSpace(arena, layer));
      for (let round = 0; round < 4; round++) residual = await fitCodebooks(layer, residual);

      const h = damped(example.gram, orderOf(layer, example.weight));
      const unknowns = layer.codebooks.length;
      const matrix = new Float64Array(unknowns ** 2);
      const right = new Float64Array(unknowns);
      let energy = 0;
      for (let row = 0; row < rows; row++) {
        const r = element(layer.scale, row);
        const unknown = (j: number) =>
          2 * element(layer.cells[j >> 1]?.stages[0]?.codes ?? [], row) + (j % 2);
        for (let i = 0; i < cols; i++)
          for (let j = 0; j < cols; j++) {
            const [a, b, entry] = [unknown(i), unknown(j), element(h, i * cols + j)];
            const [wi, wj] = [element(data, i * stride + row), element(data, j * stride + row)];
            matrix[a * unknowns + b] = element(matrix, a * unknowns + b) + r * r * entry;
            right[a] = element(right, a) + r * entry * wj;
            energy += wi * entry * wj;
          }
      }
      // The least value of energy − 2 xᵀ right + xᵀ matrix x is energy − |L⁻¹ right|².
      const lower = choleskyReference(matrix, unknowns);
      const y = new Float64Array(unknowns);
      for (let i = 0; i < unknowns; i++) {
        let sum = element(right, i);
        for (let k = 0; k < i; k++) sum -= element(lower, i * unknowns + k) * element(y, k);
        y[i] = sum / element(lower, i * unknowns + i);
      }
      const least = energy - y.reduce((sum, value) => sum + value * value, 0);
      expect(residual.loss / least, `seed ${seed}`).toBeCloseTo(1, 4);
    });
  });

  test.each(['vq-d2-k16', 'vq-d4-k64-r8', 'vq-d3-k32-g24-o4'])('%s never raises the loss', async (type) => {
    const seed = 41;
    const example = await randomLayer(64, 96, seed);
    await withLayer(example, type, async ({ layer, assign, values }) => {
      await startCodebooks(layer, 3, 0);
      await assign();
      const losses = await refine(layer, { sweeps: 6, tolerance: 0, temperature: 0, annealingSweeps: 0 });
      expect(losses.length).toBe(1 + 3 * 6);
      for (const [i, loss] of losses.slice(1).entries())
        expect(loss, `seed ${seed}, part ${i}`).toBeLessThanOrEqual(element(losses, i) * (1 + 1e-5));
      expect(element(losses, losses.length - 1)).toBeLessThan(0.95 * element(losses, 0));
      const h = damped(
        example.gram,
        Array.from({ length: 96 }, (_, i) => i),
      );
      const decoded = await values();
      const delta = Float64Array.from(example.weight.data, (w, i) => w - element(decoded, i));
      expect(element(losses, losses.length - 1) / energyReference(delta, 64, h)).toBeCloseTo(1, 4);
    });
  });
});
