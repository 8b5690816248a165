import type { TensorSpec } from '../../src/architecture/architecture.js';
import { createForward, type Forward } from '../../src/architecture/forward.js';
import type { RandomModel } from '../fixtures/random-model.js';

/**
 * The Fisher information of one weight as a dense matrix, from differences of the model's outputs: the mean over
 * positions of Jᵀ (diag p − p pᵀ) J for predictions, over texts of Jᵀ J for embeddings of length one. It is the Hessian
 * of the mean divergence from the model (of an encoder, of one less the cosine).
 * @returns n × n for n weights, row-major
 */
export async function denseFisher(
  model: RandomModel,
  texts: readonly Int32Array[],
  spec: TensorSpec,
): Promise<Float64Array> {
  const weight = model.weights.get(spec) ?? new Float32Array();
  const size = weight.length;
  const forward = createForward(model.architecture);
  const base = await outputs(model, forward, texts);
  const slopes: Float64Array[][] = [];
  for (let at = 0; at < size; at++) {
    const before = weight[at] ?? 0;
    const moved = async (by: number) => {
      weight[at] = before + by;
      return outputs(model, forward, texts);
    };
    const [up, down] = [await moved(0.01), await moved(-0.01)];
    weight[at] = before;
    slopes.push(up.map((row, t) => row.map((value, i) => (value - (down[t]?.[i] ?? 0)) / 0.02)));
  }
  await forward.release();
  const result = new Float64Array(size * size);
  const isEncoder = model.architecture.objective === 'embedding';
  for (const [t, row] of base.entries()) {
    const p = isEncoder ? row.map(() => 1) : softmax(row);
    const means = slopes.map((slope) =>
      isEncoder ? 0 : (slope[t] ?? row).reduce((sum, value, i) => sum + value * (p[i] ?? 0), 0),
    );
    for (let a = 0; a < size; a++) {
      for (let b = 0; b < size; b++) {
        let sum = 0;
        for (let i = 0; i < row.length; i++)
          sum += (p[i] ?? 0) * (slopes[a]?.[t]?.[i] ?? 0) * (slopes[b]?.[t]?.[i] ?? 0);
        const place = a * size + b;
        result[place] = (result[place] ?? 0) + (sum - (means[a] ?? 0) * (means[b] ?? 0)) / base.length;
      }
    }
  }
  return result;
}

/** Logits of every position, or embeddings of length one. */
async function outputs(
  { architecture, readBlock }: RandomModel,
  forward: Forward,
  texts: readonly Int32Array[],
) {
  const outside = await readBlock(undefined);
  const rows: Float64Array[] = [];
  for (const text of texts) {
    let hidden = await forward.embedAll([text], outside);
    for (let block = 0; block < architecture.layers; block++)
      hidden = await forward.blockAll(block, hidden, await readBlock(block));
    const data = hidden[0]?.data ?? new Float32Array();
    const width = architecture.objective === 'embedding' ? architecture.hidden : architecture.vocabulary;
    const values = architecture.objective === 'embedding' ? data : await forward.logits(data, outside);
    const found = Array.from(text, (_, t) => Float64Array.from(values.subarray(t * width, (t + 1) * width)));
    if (architecture.objective === 'embedding')
      rows.push(unit(architecture.pooling === 'cls' ? found.slice(0, 1) : found));
    else rows.push(...found);
  }
  return rows;
}

function unit(rows: readonly Float64Array[]): Float64Array {
  const sum = Float64Array.from(rows[0] ?? [], (_, i) =>
    rows.reduce((total, row) => total + (row[i] ?? 0), 0),
  );
  const norm = Math.hypot(...sum);
  return sum.map((value) => value / norm);
}

function softmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits);
  const powers = logits.map((value) => Math.exp(value - most));
  const total = powers.reduce((sum, value) => sum + value, 0);
  return powers.map((value) => value / total);
}

/** A dense matrix times a vector. */
export function multiply(matrix: Float64Array, vector: ArrayLike<number>): Float64Array {
  const size = vector.length;
  return Float64Array.from({ length: size }, (_, row) => {
    let sum = 0;
    for (let col = 0; col < size; col++) sum += (matrix[row * size + col] ?? 0) * (vector[col] ?? 0);
    return sum;
  });
}

/** The largest eigenvalue of a symmetric matrix without negative ones, by many steps in double precision. */
export function largestEigenvalue(matrix: Float64Array): number {
  let vector = Float64Array.from({ length: Math.sqrt(matrix.length) }, (_, i) => 1 + Math.sin(i));
  let value = 0;
  for (let step = 0; step < 2000; step++) {
    const next = multiply(matrix, vector);
    value = Math.hypot(...next) / Math.hypot(...vector);
    vector = next.map((x) => x / Math.hypot(...next));
  }
  return value;
}

export const trace = (matrix: Float64Array): number => {
  const size = Math.sqrt(matrix.length);
  return Array.from({ length: size }, (_, i) => matrix[i * (size + 1)] ?? 0).reduce((a, b) => a + b, 0);
};
