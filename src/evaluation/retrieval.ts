import * as g from '../graph/build.js';
import { compile } from '../graph/program.js';
import { required } from '../required.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Retrieval } from '../types.js';

const depth = 10;

/**
 * Compares the orders in which two sets of embeddings of the same texts rank them.
 * @param embeddings a row of length one for each text
 * @param reference the original's
 */
export async function retrieval(
  embeddings: Matrix,
  reference: Matrix,
  options: RuntimeOptions = {},
): Promise<Retrieval> {
  const { rows, cols } = embeddings;
  const x = g.input('x', [rows, cols]);
  const program = await compile({ y: g.matmul(x, g.transpose(x, [1, 0])) }, options);
  const similarities = async ({ data }: Matrix) => required(await program.run({ x: data }), 'y');
  const [own, original] = [await similarities(embeddings), await similarities(reference)];
  await program.release();
  let [top1, top10, ndcg10] = [0, 0, 0];
  for (let query = 0; query < rows; query++) {
    const found = nearest(own.subarray(query * rows, (query + 1) * rows), query);
    const wanted = nearest(original.subarray(query * rows, (query + 1) * rows), query);
    top1 += Number(found[0] === wanted[0]) / rows;
    top10 += found.filter((text) => wanted.includes(text)).length / wanted.length / rows;
    ndcg10 += gain(found, wanted) / gain(wanted, wanted) / rows;
  }
  return { top1, top10, ndcg10 };
}

/** The texts most similar to one, without itself, the nearest first; of equals the earlier first. */
function nearest(similarities: Float32Array, query: number): number[] {
  return Array.from(similarities.keys())
    .filter((text) => text !== query)
    .sort((a, b) => (similarities[b] ?? 0) - (similarities[a] ?? 0) || a - b)
    .slice(0, depth);
}

/** Discounted cumulative gain of a ranking: the value of each text over the logarithm of its place. */
function gain(found: readonly number[], wanted: readonly number[]): number {
  return found.reduce((sum, text, place) => {
    const rank = wanted.indexOf(text);
    return rank < 0 ? sum : sum + (depth - rank) / Math.log2(place + 2);
  }, 0);
}
