import { afterAll, beforeAll, expect, test } from 'vitest';
import { randomModel, tiny } from '../../test/fixtures/random-model.js';
import { kernels } from '../../test/fixtures/solver-context.js';
import { denseFisher, largestEigenvalue, multiply, trace } from '../../test/reference/fisher.js';
import { uniform } from '../../test/reference/random.js';
import { matrixShape, type TensorSpec } from '../architecture/architecture.js';
import { createHessianProducts } from '../gradients/hessian-products.js';
import { createArithmetic } from '../graph/arithmetic.js';
import { topEigenvalue } from './power-iteration.js';
import { innerProduct, randomSigns } from './statistics.js';

const arithmetic = createArithmetic();
afterAll(() => arithmetic.release());
const engine = { kernels, arithmetic };

const next = uniform(3);
const texts = [8, 8].map((length) => Int32Array.from({ length }, () => Math.floor(16 * next())));
const model = randomModel(tiny.gpt2, 0.4);
const specs = model.architecture.tensors.filter(
  ({ kind, block, role }) =>
    kind === 'embedding' || (block === 1 && kind === 'linear' && /up|qkv/.test(role)),
);
const dense = new Map<TensorSpec, Float64Array>();
beforeAll(async () => {
  for (const spec of specs) dense.set(spec, await denseFisher(model, texts, spec));
});
const denseOf = (spec: TensorSpec) => dense.get(spec) ?? new Float64Array();
const matrix = (spec: TensorSpec, data: Float32Array) => {
  const [rows, cols] = matrixShape(spec);
  return { rows, cols, data };
};

test('finds the largest eigenvalue of a matrix, whatever its sign', async () => {
  const diagonal = [1, -5, 3, 0.5];
  const product = async (vector: Float32Array) => vector.map((value, i) => value * (diagonal[i] ?? 0));
  const options = { iterations: 50, tolerance: 1e-6 };
  const found = await topEigenvalue(engine, { rows: 2, cols: 2 }, product, options);
  expect(found.value).toBeCloseTo(-5, 4);
  expect([...found.vector.map(Math.abs)]).toEqual([0, 1, 0, 0].map((value) => expect.closeTo(value, 2)));
  const again = { ...options, start: found.vector.map((value) => 3 * value), iterations: 1 };
  expect((await topEigenvalue(engine, { rows: 2, cols: 2 }, product, again)).value).toBeCloseTo(-5, 4);
  const nothing = async (vector: Float32Array) => vector.map(() => 0);
  expect((await topEigenvalue(engine, { rows: 2, cols: 2 }, nothing, options)).value).toBe(0);
});

test('eigenvalues of a model’s layers are those of the dense Hessian within 1 %', async () => {
  const products = await createHessianProducts(model, texts);
  expect(specs).toHaveLength(3);
  for (const spec of specs) {
    const exact = largestEigenvalue(denseOf(spec));
    const found = await topEigenvalue(
      engine,
      matrix(spec, new Float32Array()),
      (vector) => products.own(spec, { vector, step: 5e-3 }),
      { iterations: 100, tolerance: 1e-4 },
    );
    expect(Math.abs(found.value / exact - 1), spec.names.gguf).toBeLessThan(0.01);
  }
  await products.release();
});

test('probes of all weights at once find the traces of the dense Hessian within 5 %', async () => {
  const products = await createHessianProducts(model, texts);
  const sums = new Map(
    specs.map((spec) => [spec, { trace: 0, mean: new Float32Array(), square: new Float32Array() }]),
  );
  const probes = 600;
  for (let probe = 0; probe < probes; probe++) {
    await products.all(
      async (spec) => {
        const [rows, cols] = matrixShape(spec);
        const seed = probe * 100 + model.architecture.tensors.indexOf(spec);
        return { vector: (await randomSigns(kernels, rows, cols, seed)).data, step: 2e-3 };
      },
      async (spec, vector, product) => {
        const sum = sums.get(spec);
        if (!sum) return;
        const { product: own } = await innerProduct(kernels, matrix(spec, vector), matrix(spec, product));
        sum.trace += own / probes;
        const estimate = vector.map((sign, i) => sign * (product[i] ?? 0));
        sum.mean = estimate.map((value, i) => (sum.mean[i] ?? 0) + value / probes);
        sum.square = estimate.map((value, i) => (sum.square[i] ?? 0) + value ** 2 / probes);
      },
    );
  }
  for (const spec of specs) {
    const dense = denseOf(spec);
    const sum = sums.get(spec);
    expect(Math.abs((sum?.trace ?? 0) / trace(dense) - 1), spec.names.gguf).toBeLessThan(0.05);
    // Unbiased element by element: five standard errors of the mean, and what differences of gradients miss.
    for (const [i, mean] of sum?.mean.entries() ?? []) {
      const exact = dense[i * Math.sqrt(dense.length) + i] ?? 0;
      const noise = Math.sqrt(((sum?.square[i] ?? 0) - mean ** 2) / probes);
      expect(Math.abs(mean - exact), `${spec.role} ${i}`).toBeLessThan(5 * noise + 0.02 * exact);
    }
  }
  await products.release();
});

test('the reference multiplies as it should', () => {
  expect([...multiply(Float64Array.of(1, 2, 3, 4), [1, 1])]).toEqual([3, 7]);
  expect(largestEigenvalue(Float64Array.of(2, 1, 1, 2))).toBeCloseTo(3, 6);
});
