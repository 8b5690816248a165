import { matrixShape, type TensorSpec } from '../../../architecture/architecture.js';
import { createHessianProducts, type HessianProducts } from '../../../gradients/hessian-products.js';
import { type PowerIterationOptions, topEigenvalue } from '../../../sensitivity/power-iteration.js';
import {
  innerProduct,
  randomSigns,
  valueStatistics,
  weightedDistance,
} from '../../../sensitivity/statistics.js';
import { checkAborted } from '../../context/hooks.js';
import { keyOf } from '../../context/store.js';
import type { CurvatureEstimates, Task, Texts } from './curvature-task.js';
import { readLevel } from './entries.js';
import { weightMatrix } from './weight-matrix.js';

/** Tokens for traces, and random vectors. */
const traceTokens = 1024;
const probes = 8;
/** Tokens for eigenvalues, each of which takes many products. */
const eigenvalueTokens = 512;
/** Parts of the text whose eigenvalues are compared. */
const parts = 4;
/** Products that an eigenvalue takes at most, on all of the text and on each of its parts. */
const iterations = 8;
const furtherIterations = 2;
/** How far probes move weights, in units of their root mean square: little beside what eight bits do. */
const probeStep = 3e-3;
/** An eigenvector is followed until it changes predictions by so many nats. */
const eigenvectorDivergence = 1e-4;

/** With Hessians on some texts, of which there is one at least. */
async function withProducts<T>(
  { context, model }: Task,
  texts: readonly (readonly Int32Array[])[],
  body: (first: HessianProducts, ...others: HessianProducts[]) => Promise<T>,
): Promise<T> {
  const opened: HessianProducts[] = [];
  try {
    for (const each of texts) opened.push(await createHessianProducts(model, each, context));
    const [first, ...others] = opened;
    if (!first) throw new Error('there is no text');
    return await body(first, ...others);
  } finally {
    for (const products of opened) await products.release();
  }
}

/**
 * Traces, mean v · H v, and ½ Σ D Δ² of all levels with D the mean of v ⊙ H v, for random signs v in all weights at once
 * (Hutchinson, 1990).
 */
export const findTraces = (task: Task, texts: Texts): Promise<Map<TensorSpec, CurvatureEstimates>> =>
  withProducts(task, [texts(traceTokens)], (products) => hutchinson(task, products));

async function hutchinson(
  task: Task,
  products: HessianProducts,
): Promise<Map<TensorSpec, CurvatureEstimates>> {
  const { context, store, model, tensors, arithmetic, hooks } = task;
  const { kernels } = context;
  const order = model.architecture.tensors;
  const sums = new Map<TensorSpec, { trace: number; levels: number[] }>();
  for (let probe = 0; probe < probes; probe++) {
    checkAborted(hooks);
    await products.all(
      async (spec, weight) => {
        const [rows, cols] = matrixShape(spec);
        const { energy } = await valueStatistics(kernels, weightMatrix(spec, weight));
        const step = probeStep * Math.sqrt(energy / weight.length) || probeStep;
        if (!tensors.has(spec)) return { vector: new Float32Array(rows * cols), step };
        const seed = probe * order.length + order.indexOf(spec);
        return { vector: (await randomSigns(kernels, rows, cols, seed)).data, step };
      },
      async (spec, vector, product) => {
        const tensor = tensors.get(spec);
        if (!tensor) return;
        const signs = weightMatrix(spec, vector);
        const own = sums.get(spec) ?? { trace: 0, levels: tensor.levels.map(() => 0) };
        own.trace += (await innerProduct(kernels, signs, weightMatrix(spec, product))).product / probes;
        const diagonal = weightMatrix(spec, await arithmetic.product(vector, product));
        const weight = weightMatrix(spec, await model.read(spec));
        for (const [index, { key, grid }] of tensor.levels.entries()) {
          const level = weightMatrix(spec, await readLevel(context, store, key, grid, spec));
          const distance = await weightedDistance(kernels, weight, level, diagonal);
          own.levels[index] = (own.levels[index] ?? 0) + distance / probes / 2;
        }
        sums.set(spec, own);
      },
    );
    hooks.progress?.('traces', probe + 1, probes);
  }
  return new Map(
    [...sums].map(([spec, { trace, levels }]) => [
      spec,
      { tensor: { trace }, levels: levels.map((diagonal) => ({ diagonal })) },
    ]),
  );
}

/**
 * The largest eigenvalue of the Hessian in each tensor's weights, on the whole text and on its parts, where the search goes
 * on from the whole text's eigenvector.
 */
export const findEigenvalues = (task: Task, texts: Texts): Promise<Map<TensorSpec, CurvatureEstimates>> => {
  const text = texts(eigenvalueTokens);
  return withProducts(task, [text, ...divide(text, parts)], (whole, ...others) =>
    eigenvalues(task, whole, others),
  );
};

async function eigenvalues(
  task: Task,
  whole: HessianProducts,
  others: readonly HessianProducts[],
): Promise<Map<TensorSpec, CurvatureEstimates>> {
  const { context, store, key, model, tensors, arithmetic, hooks } = task;
  const found = new Map<TensorSpec, CurvatureEstimates>();
  for (const spec of tensors.keys()) {
    const place = keyOf('eigenvalues', key, spec.names.gguf);
    const known = await store.get(place);
    if (known) {
      found.set(spec, JSON.parse(new TextDecoder().decode(known)));
      continue;
    }
    const weight = weightMatrix(spec, await model.read(spec));
    const { energy } = await valueStatistics(context.kernels, weight);
    const longest = probeStep * Math.sqrt(energy) || probeStep;
    const top = (products: HessianProducts, options: Partial<PowerIterationOptions>) => {
      checkAborted(hooks);
      const multiply = (vector: Float32Array, estimate: number) => {
        // ½ λ s² is what a step of s costs along the eigenvector.
        const step = estimate > 0 ? Math.sqrt((2 * eigenvectorDivergence) / estimate) : longest;
        return products.own(spec, { vector, step: Math.min(longest, step) });
      };
      return topEigenvalue({ ...context, arithmetic }, weight, multiply, options);
    };
    const { value: eigenvalue, vector: start } = await top(whole, { iterations });
    const parts: number[] = [];
    for (const products of others)
      parts.push((await top(products, { iterations: furtherIterations, start })).value);
    const result: CurvatureEstimates = { tensor: { eigenvalue, eigenvalues: parts } };
    await store.put(place, new TextEncoder().encode(JSON.stringify(result)));
    found.set(spec, result);
    hooks.progress?.('eigenvalues', found.size, tensors.size);
  }
  return found;
}

/** So many parts, alike in size. */
function divide<T>(values: readonly T[], count: number): T[][] {
  const groups = Array.from({ length: Math.min(count, values.length) }, (): T[] => []);
  for (const [index, value] of values.entries()) groups[index % groups.length]?.push(value);
  return groups;
}
