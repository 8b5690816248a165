import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import { createHessianProducts, type HessianProducts } from '../../calibration/hessian.js';
import { type Labels, weightGradients } from '../../calibration/weight-gradients.js';
import { type Arithmetic, createArithmetic } from '../../graph/arithmetic.js';
import type { CurvatureNeed, LevelCurvature, TensorCurvature } from '../../sensitivity/measure.js';
import { type PowerIterationOptions, topEigenvalue } from '../../sensitivity/power-iteration.js';
import {
  innerProduct,
  randomSigns,
  valueStatistics,
  weightedDifference,
  weightedDistance,
} from '../../sensitivity/statistics.js';
import { spread } from '../../text/corpus.js';
import type { Matrix } from '../../types.js';
import { codeVersion } from '../../version.js';
import { checkAborted, type Hooks } from '../hooks.js';
import { keyOf, type Store } from '../store.js';
import type { Workshop } from '../workshop.js';
import { readLevel } from './entries.js';
import type { TensorLevels } from './levels.js';

/** Tokens that gradients are taken of, in pieces: each is one more gradient to average over. */
const gradientTokens = 4096;
const pieceTokens = 128;
/** Tokens, and random vectors, of products with the Hessian. */
const productTokens = 1024;
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
/** Decoded levels that are in memory together, in bytes; one at least. */
const heldBytes = 2 ** 28;

/** What second-order measures know of a tensor and of its levels, in their order. */
interface Found {
  readonly tensor?: TensorCurvature;
  readonly levels?: readonly LevelCurvature[];
}

interface Task {
  readonly shop: Workshop;
  readonly store: Store;
  readonly model: Model;
  /** Those with a choice of levels. */
  readonly tensors: ReadonlyMap<TensorSpec, TensorLevels>;
  readonly arithmetic: Arithmetic;
  /** Of what is asked for, in the store. */
  readonly key: string;
  readonly hooks: Hooks;
}

/**
 * Adds what measures of damage need of gradients and second derivatives. Every need is one entry of the store, and every
 * eigenvalue, which takes long, one more.
 * @param calibration text, of which a part is taken
 */
export async function addCurvature(
  shop: Workshop,
  store: Store,
  { model, calibration }: { readonly model: Model; readonly calibration: readonly Int32Array[] },
  tensors: readonly TensorLevels[],
  needs: readonly CurvatureNeed[],
  hooks: Hooks,
): Promise<TensorLevels[]> {
  if (needs.length === 0) return [...tensors];
  const arithmetic = createArithmetic(shop);
  const chosen = tensors.filter(({ levels }) => levels.length > 1);
  const task = {
    shop,
    store,
    model,
    tensors: new Map(chosen.map((tensor) => [tensor.spec, tensor])),
    arithmetic,
    hooks,
  };
  const texts = textFor(model, calibration);
  const found = new Map<TensorSpec, Found>();
  try {
    for (const need of needs) {
      const keys = chosen.flatMap(({ levels }) => levels.map(({ key }) => key));
      const key = keyOf('curvature', need, codeVersion(), ...keys, ...texts(gradientTokens).map(String));
      const known = await store.get(key);
      const results: readonly (Found | undefined)[] = known
        ? JSON.parse(new TextDecoder().decode(known))
        : await shop.stopwatch
            .time('measure', () => findings[need]({ ...task, key }, texts))
            .then((map) => chosen.map(({ spec }) => map.get(spec)));
      if (!known) await store.put(key, new TextEncoder().encode(JSON.stringify(results)));
      for (const [index, { spec }] of chosen.entries())
        found.set(spec, merge(found.get(spec), results[index]));
    }
  } finally {
    await arithmetic.release();
  }
  return tensors.map((tensor) => withCurvature(tensor, found.get(tensor.spec)));
}

/** About so many tokens from all over the text, of a language model in pieces of one length. */
const textFor =
  ({ architecture }: Model, calibration: readonly Int32Array[]) =>
  (tokens: number): Int32Array[] => {
    const pieces =
      architecture.objective === 'embedding'
        ? calibration
        : calibration.map((sequence) => sequence.subarray(0, pieceTokens));
    return spread(pieces, tokens);
  };

/** What each need takes. */
const findings: Readonly<
  Record<
    CurvatureNeed,
    (task: Task, texts: (tokens: number) => Int32Array[]) => Promise<Map<TensorSpec, Found>>
  >
> = {
  gradients: (task, texts) =>
    gradientForms(task, texts(gradientTokens), 'text', (slope, diagonal, form) => ({
      slope,
      fisher: diagonal,
      fisherForm: form,
    })),
  'drawn gradients': (task, texts) =>
    gradientForms(task, texts(gradientTokens), 'drawn', (_, diagonal, form, slopes) => ({
      drawnFisher: diagonal,
      drawnFisherForm: form,
      drawnSlopes: slopes,
    })),
  traces: async (task, texts) =>
    withProducts(task, [texts(productTokens)], (products) => hutchinson(task, products)),
  eigenvalues: async (task, texts) => {
    const text = texts(eigenvalueTokens);
    return withProducts(task, [text, ...divide(text, parts)], (whole, ...others) =>
      eigenvalues(task, whole, others),
    );
  },
};

/** g · Δ, ½ Σ F Δ² and ½ Δᵀ F Δ for all levels. */
async function gradientForms(
  task: Task,
  texts: readonly Int32Array[],
  labels: Labels,
  write: (slope: number, diagonal: number, form: number, slopes: readonly number[]) => LevelCurvature,
): Promise<Map<TensorSpec, Found>> {
  const { shop, store, model, tensors, arithmetic, hooks } = task;
  const { kernels } = shop;
  const found = new Map<TensorSpec, Found>();
  await weightGradients(
    model,
    texts,
    labels,
    async (spec, { sequences, tokens, of }) => {
      const tensor = tensors.get(spec);
      if (!tensor) return;
      checkAborted(hooks);
      const weight = matrixOf(spec, await model.read(spec));
      const size = Math.max(1, Math.floor(heldBytes / weight.data.byteLength));
      let squares = new Float32Array(weight.data.length);
      /** g · Δ by level and sequence. */
      const slopes: number[][] = [];
      for (let from = 0; from < tensor.levels.length; from += size) {
        const decoded: Matrix[] = [];
        for (const { key, grid } of tensor.levels.slice(from, from + size))
          decoded.push(matrixOf(spec, await readLevel(shop, store, key, grid, spec)));
        const own = decoded.map((): number[] => []);
        for (let sequence = 0; sequence < sequences; sequence++) {
          const gradient = matrixOf(spec, await of(sequence));
          if (from === 0) squares = (await arithmetic.plusSquare(squares, gradient.data)) as typeof squares;
          for (const [index, list] of own.entries())
            list.push(await weightedDifference(kernels, weight, decoded[index] ?? weight, gradient));
        }
        slopes.push(...own);
      }
      const diagonal = matrixOf(spec, squares);
      const levels: LevelCurvature[] = [];
      for (const [index, { key, grid }] of tensor.levels.entries()) {
        const level = matrixOf(spec, await readLevel(shop, store, key, grid, spec));
        const distance = await weightedDistance(kernels, weight, level, diagonal);
        const own = (slopes[index] ?? []).map((slope) => slope / Math.sqrt(tokens));
        const slope = own.reduce((sum, value) => sum + value, 0) / Math.sqrt(tokens);
        const form = own.reduce((sum, value) => sum + value ** 2, 0) / 2;
        levels.push(write(slope, distance / tokens / 2, form, own));
      }
      found.set(spec, { levels });
      hooks.progress?.(`gradients (${labels})`, found.size, tensors.size);
    },
    shop,
  );
  return found;
}

/** With Hessians on some texts, of which there is one at least. */
async function withProducts<T>(
  { shop, model }: Task,
  texts: readonly (readonly Int32Array[])[],
  body: (first: HessianProducts, ...others: HessianProducts[]) => Promise<T>,
): Promise<T> {
  const opened: HessianProducts[] = [];
  try {
    for (const each of texts) opened.push(await createHessianProducts(model, each, shop));
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
async function hutchinson(task: Task, products: HessianProducts): Promise<Map<TensorSpec, Found>> {
  const { shop, store, model, tensors, arithmetic, hooks } = task;
  const { kernels } = shop;
  const order = model.architecture.tensors;
  const sums = new Map<TensorSpec, { trace: number; levels: number[] }>();
  for (let probe = 0; probe < probes; probe++) {
    checkAborted(hooks);
    await products.all(
      async (spec, weight) => {
        const [rows, cols] = matrixShape(spec);
        const { energy } = await valueStatistics(kernels, matrixOf(spec, weight));
        const step = probeStep * Math.sqrt(energy / weight.length) || probeStep;
        if (!tensors.has(spec)) return { vector: new Float32Array(rows * cols), step };
        const seed = probe * order.length + order.indexOf(spec);
        return { vector: (await randomSigns(kernels, rows, cols, seed)).data, step };
      },
      async (spec, vector, product) => {
        const tensor = tensors.get(spec);
        if (!tensor) return;
        const signs = matrixOf(spec, vector);
        const own = sums.get(spec) ?? { trace: 0, levels: tensor.levels.map(() => 0) };
        own.trace += (await innerProduct(kernels, signs, matrixOf(spec, product))).product / probes;
        const diagonal = matrixOf(spec, await arithmetic.product(vector, product));
        const weight = matrixOf(spec, await model.read(spec));
        for (const [index, { key, grid }] of tensor.levels.entries()) {
          const level = matrixOf(spec, await readLevel(shop, store, key, grid, spec));
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
async function eigenvalues(
  task: Task,
  whole: HessianProducts,
  others: readonly HessianProducts[],
): Promise<Map<TensorSpec, Found>> {
  const { shop, store, key, model, tensors, arithmetic, hooks } = task;
  const found = new Map<TensorSpec, Found>();
  for (const spec of tensors.keys()) {
    const place = keyOf('eigenvalues', key, spec.names.gguf);
    const known = await store.get(place);
    if (known) {
      found.set(spec, JSON.parse(new TextDecoder().decode(known)));
      continue;
    }
    const weight = matrixOf(spec, await model.read(spec));
    const { energy } = await valueStatistics(shop.kernels, weight);
    const longest = probeStep * Math.sqrt(energy) || probeStep;
    const top = (products: HessianProducts, options: Partial<PowerIterationOptions>) => {
      checkAborted(hooks);
      const multiply = (vector: Float32Array, estimate: number) => {
        // ½ λ s² is what a step of s costs along the eigenvector.
        const step = estimate > 0 ? Math.sqrt((2 * eigenvectorDivergence) / estimate) : longest;
        return products.own(spec, { vector, step: Math.min(longest, step) });
      };
      return topEigenvalue({ ...shop, arithmetic }, weight, multiply, options);
    };
    const { value: eigenvalue, vector: start } = await top(whole, { iterations });
    const parts: number[] = [];
    for (const products of others)
      parts.push((await top(products, { iterations: furtherIterations, start })).value);
    const result: Found = { tensor: { eigenvalue, eigenvalues: parts } };
    await store.put(place, new TextEncoder().encode(JSON.stringify(result)));
    found.set(spec, result);
    hooks.progress?.('eigenvalues', found.size, tensors.size);
  }
  return found;
}

function matrixOf(spec: TensorSpec, data: Float32Array): Matrix {
  const [rows, cols] = matrixShape(spec);
  return { rows, cols, data };
}

/** So many parts, alike in size. */
function divide<T>(values: readonly T[], count: number): T[][] {
  const groups = Array.from({ length: Math.min(count, values.length) }, (): T[] => []);
  for (const [index, value] of values.entries()) groups[index % groups.length]?.push(value);
  return groups;
}

function merge(first: Found = {}, second: Found = {}): Found {
  const levels = first.levels ?? second.levels;
  return {
    tensor: { ...first.tensor, ...second.tensor },
    ...(levels
      ? { levels: levels.map((_, index) => ({ ...first.levels?.[index], ...second.levels?.[index] })) }
      : {}),
  };
}

function withCurvature(tensor: TensorLevels, { tensor: own = {}, levels = [] }: Found = {}): TensorLevels {
  const { statistics } = tensor;
  return {
    ...tensor,
    levels: tensor.levels.map((level, index) => {
      const curvature = levels[index];
      return curvature ? { ...level, curvature } : level;
    }),
    ...(statistics ? { statistics: { ...statistics, curvature: own } } : {}),
  };
}
