import { describe, expect, test } from 'vitest';
import { gemm, type Layer, randomLayer } from '../../../test/fixtures/solver-context.js';
import { talesLayers } from '../../../test/fixtures/tales.js';
import { element, solveVector } from '../../../test/fixtures/vector-layer.js';
import { syntheticGram } from '../../../test/reference/gram.js';
import { energyReference } from '../../../test/reference/solvers.js';
import { findGrid } from '../../grid/index.js';
import { createKernels } from '../../kernels/kernels.js';

describe('the solver vptq', () => {
  test('reports tr(Δ H Δᵀ) / tr(W H Wᵀ) of what is stored', async () => {
    const example = await randomLayer(33, 64, 51);
    const { relativeError, values, bytes, packed } = await solveVector('vptq', example, 'vq-d4-k16');
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
        (await solveVector('vptq', example, 'vq-d2-k16', options)).relativeError;
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
      const one = await solveVector('vptq', example, type, {}, single);
      const two = await solveVector('vptq', example, type);
      expect(Buffer.from(one.packed).equals(two.packed), type).toBe(true);
    }
    single.close();
  });

  test('the block size hardly changes the result', async () => {
    const example = await randomLayer(64, 160, 71);
    const options = { sweeps: 0, passes: 1 };
    const errors = [];
    for (const blockSize of [8, 40, 256])
      errors.push((await solveVector('vptq', example, 'vq-d4-k32', { ...options, blockSize })).relativeError);
    for (const error of errors) expect(error / element(errors, 0)).toBeCloseTo(1, 2);
  });

  test('rows of zeros, inputs that never fire and missing moments are no trouble', async () => {
    const { weight, gram } = await randomLayer(9, 32, 81);
    weight.data.fill(0, 32, 64);
    for (let i = 0; i < 32; i++) gram.data[7 * 32 + i] = gram.data[i * 32 + 7] = 0;
    const { values, relativeError } = await solveVector('vptq', { weight, gram }, 'vq-d2-k16');
    expect(values.every(Number.isFinite)).toBe(true);
    expect(relativeError).toBeLessThan(0.2);
    const plain = await solveVector('vptq', { weight, gram: undefined }, 'vq-d2-k16');
    const squares = (x: Float32Array) => x.reduce((sum, value) => sum + value * value, 0);
    const delta = weight.data.map((w, i) => w - element(plain.values, i));
    expect(plain.relativeError / (squares(delta) / squares(weight.data))).toBeCloseTo(1, 4);
  });

  test('scalar types and scalar solvers are refused', async () => {
    const example = await randomLayer(8, 32, 91);
    await expect(solveVector('vptq', example, 'q4_0')).rejects.toThrow(
      'type q4_0 has none; choose a type such as',
    );
    for (const solver of ['rtn', 'gptq'])
      await expect(solveVector(solver, example, 'vq-d2-k16')).rejects.toThrow('choose the solver vptq');
  });
});

describe('at the bytes of a scalar grid, codebooks counted,', () => {
  /** The vector type of no more bytes than a scalar one loses less than the scalar one by each of these solvers. */
  async function beats(example: Layer, scalar: string, solvers = ['rtn', 'gptq']): Promise<void> {
    const { rows, cols } = example.weight;
    const bytes = findGrid(scalar).bytes(rows, cols);
    const type = `vq-${Math.floor((80000 * bytes) / (rows * cols)) / 10000}`;
    const ours = await solveVector('vptq', example, type, { temperature: 0 }); // annealed it loses still less
    expect(ours.bytes).toBeLessThanOrEqual(bytes);
    for (const solver of solvers) {
      const { relativeError } = await solveVector(solver, example, scalar);
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
