import { describe, expect, test } from 'vitest';
import { gemm, kernels, type Layer, randomLayer } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { syntheticGram } from '../../../test/reference/gram.js';
import { normals, uniform } from '../../../test/reference/random.js';
import { choleskyReference, energyReference } from '../../../test/reference/solvers.js';
import { findGrid } from '../../grid/index.js';
import { decodeCells, vectorCells } from '../../grid/vector/format.js';
import { findVectorGrid, type VectorGrid } from '../../grid/vector/vector.js';
import { type Arena, createKernels } from '../../kernels/kernels.js';
import { fromPanel, toPanel } from '../../kernels/panel.js';
import type { Matrix } from '../../types.js';
import { findSolver } from '../index.js';
import { fitCodebooks, startCodebooks } from './codebook.js';
import type { VectorLayer } from './layer.js';
import { prepareLayer } from './prepare.js';
import { refine } from './refine.js';
import { measure, residualSpace } from './residual.js';
import { assignWithFeedback } from './vptq.js';

const vectors = (name: string): VectorGrid => {
  const grid = findVectorGrid(name);
  if (!grid) throw new Error(`there is no ${name}`);
  return grid;
};

interface Outcome {
  readonly relativeError: number;
  readonly bytes: number;
  readonly values: Float32Array;
  readonly packed: Uint8Array;
}

function solve(
  solver: string,
  { weight, gram }: Omit<Layer, 'gram'> & { readonly gram: Matrix | undefined },
  type: string,
  options: Record<string, unknown> = {},
  own = kernels,
): Promise<Outcome> {
  return own.scope(async (arena) => {
    const panel = await toPanel(own, arena, weight);
    const grid = findGrid(type);
    const moments = gram && { gram, tokens: 1 };
    const context = { kernels: own, arena, gemm };
    const { encoded, relativeError, bytes } = await findSolver(solver).solve(
      context,
      panel,
      moments,
      grid,
      options,
    );
    const { data } = await fromPanel(own, { ...panel, data: encoded.values });
    return { relativeError, bytes, values: data, packed: await grid.pack(own, encoded) };
  });
}

/** Does something with a layer that is ready for its first codes. */
function withLayer<T>(
  { weight, gram }: Layer,
  type: string,
  body: (parts: {
    readonly layer: VectorLayer;
    readonly arena: Arena;
    readonly assign: () => Promise<void>;
    /** Ŵ, row-major. */
    readonly values: () => Promise<Float32Array>;
  }) => Promise<T>,
): Promise<T> {
  return kernels.scope(async (arena) => {
    const grid = vectors(type);
    const { rows, cols } = weight;
    const panel = await toPanel(kernels, arena, weight);
    const parameters = grid.allocate(arena, rows, cols);
    const encoded = { grid, rows, cols, stride: panel.stride, parameters, values: panel.data };
    const context = { kernels, arena, gemm };
    const { layer, factor } = await prepareLayer(context, encoded, panel, gram, damping, 48);
    const values = async () => {
      const decoded = { ...panel, data: arena.f32(panel.data.length) };
      const cells = vectorCells(arena, grid.format(rows, cols), parameters, rows, cols);
      decodeCells(kernels, cells, layer.scale, decoded.data);
      return (await fromPanel(kernels, decoded)).data;
    };
    return body({ layer, arena, values, assign: () => assignWithFeedback(layer, factor) });
  });
}

const damping = 0.01;
const element = (array: ArrayLike<number>, index: number) => array[index] ?? Number.NaN;

/** H + damping · mean(diag H), in units of the mean, by position: columns in a given order. */
function damped({ rows: size, data }: Matrix, order: readonly number[]): Float64Array {
  let mean = 0;
  for (let i = 0; i < size; i++) mean += element(data, i * (size + 1)) / size;
  return Float64Array.from({ length: size * size }, (_, index) => {
    const [i, j] = [Math.floor(index / size), index % size];
    const entry = element(data, element(order, i) * size + element(order, j));
    return entry / mean + (i === j ? damping : 0);
  });
}

/** Columns by position, found by what the layer's weights are. */
function orderOf({ weight }: VectorLayer, { data, cols }: Matrix): number[] {
  return Array.from({ length: cols }, (_, position) => {
    const first = weight.data[position * weight.stride];
    return data.subarray(0, cols).indexOf(first ?? Number.NaN);
  });
}

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

describe('the solver vptq', () => {
  test('reports tr(Δ H Δᵀ) / tr(W H Wᵀ) of what is stored', async () => {
    const example = await randomLayer(33, 64, 51);
    const { relativeError, values, bytes, packed } = await solve('vptq', example, 'vq-d4-k16');
    const h = Float64Array.from(example.gram.data);
    const delta = Float64Array.from(example.weight.data, (w, i) => w - element(values, i));
    const energy = energyReference(Float64Array.from(example.weight.data), 33, h);
    expect(relativeError / (energyReference(delta, 33, h) / energy)).toBeCloseTo(1, 4);
    expect(packed.length).toBe(bytes);
  });

  test('annealing lowers the loss, and what does not pay is put back', async () => {
    for (const seed of [55, 56, 57]) {
      const example = await randomLayer(64, 96, seed);
      const lossOf = async (options: Record<string, unknown>) =>
        (await solve('vptq', example, 'vq-d2-k16', options)).relativeError;
      const plain = await lossOf({ temperature: 0 });
      expect(await lossOf({}), `seed ${seed}`).toBeLessThan(0.98 * plain);
      const once = await lossOf({ temperature: 0, sweeps: 1 });
      expect(await lossOf({ temperature: 10, annealingSweeps: 1, sweeps: 1 }), `seed ${seed}`).toBe(once);
    }
  });

  test('threads do not change a byte', async () => {
    const example = await randomLayer(70, 96, 61);
    const single = await createKernels({ threads: 1 });
    for (const type of ['vq-d2-k16', 'vq-d8-k64-r16', 'vq-d3-k32-o3']) {
      const one = await solve('vptq', example, type, {}, single);
      const two = await solve('vptq', example, type);
      expect(Buffer.from(one.packed).equals(two.packed), type).toBe(true);
    }
    single.close();
  });

  test('the block size hardly changes the result', async () => {
    const example = await randomLayer(64, 160, 71);
    const options = { sweeps: 0, passes: 1 };
    const errors = [];
    for (const blockSize of [8, 40, 256])
      errors.push((await solve('vptq', example, 'vq-d4-k32', { ...options, blockSize })).relativeError);
    for (const error of errors) expect(error / element(errors, 0)).toBeCloseTo(1, 2);
  });

  test('rows of zeros, inputs that never fire and missing moments are no trouble', async () => {
    const { weight, gram } = await randomLayer(9, 32, 81);
    weight.data.fill(0, 32, 64);
    for (let i = 0; i < 32; i++) gram.data[7 * 32 + i] = gram.data[i * 32 + 7] = 0;
    const { values, relativeError } = await solve('vptq', { weight, gram }, 'vq-d2-k16');
    expect(values.every(Number.isFinite)).toBe(true);
    expect(relativeError).toBeLessThan(0.2);
    const plain = await solve('vptq', { weight, gram: undefined }, 'vq-d2-k16');
    const squares = (x: Float32Array) => x.reduce((sum, value) => sum + value * value, 0);
    const delta = weight.data.map((w, i) => w - element(plain.values, i));
    expect(plain.relativeError / (squares(delta) / squares(weight.data))).toBeCloseTo(1, 4);
  });

  test('scalar types and scalar solvers are refused', async () => {
    const example = await randomLayer(8, 32, 91);
    await expect(solve('vptq', example, 'q4_0')).rejects.toThrow('type q4_0 has none; choose a type such as');
    for (const solver of ['rtn', 'gptq'])
      await expect(solve(solver, example, 'vq-d2-k16')).rejects.toThrow('choose the solver vptq');
  });
});

describe('at the bytes of a scalar grid, codebooks counted,', () => {
  /** The vector type of no more bytes than a scalar one loses less than the scalar one by each of these solvers. */
  async function beats(example: Layer, scalar: string, solvers = ['rtn', 'gptq']): Promise<void> {
    const { rows, cols } = example.weight;
    const bytes = findGrid(scalar).bytes(rows, cols);
    const type = `vq-${Math.floor((80000 * bytes) / (rows * cols)) / 10000}`;
    const ours = await solve('vptq', example, type, { temperature: 0 }); // annealed it loses still less
    expect(ours.bytes).toBeLessThanOrEqual(bytes);
    for (const solver of solvers) {
      const { relativeError } = await solve(solver, example, scalar);
      expect(ours.relativeError, `${type} against ${scalar} by ${solver}`).toBeLessThan(relativeError);
    }
  }

  test('vector codebooks lose less on layers of tales', async () => {
    for (const weight of await talesLayers()) {
      const gram = await syntheticGram(gemm, weight.cols, 101, { outliers: 0.01 });
      for (const scalar of ['int2-channel-asym', 'int2-g64-asym', 'q2_k'])
        await beats({ weight, gram }, scalar);
    }
  });

  test('and on a larger layer', async () => {
    const example = await randomLayer(512, 512, 111);
    for (const scalar of ['int2-channel-asym', 'int2-g64']) await beats(example, scalar);
  });
});
