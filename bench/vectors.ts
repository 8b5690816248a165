/**
 * Vector codebooks against scalar grids of about two bits on every linear layer of a model: VPTQ gets at most the bytes of
 * the scalar grid, its codebooks counted. Per grid and solver of the scalar one, in how many layers VPTQ loses less, the
 * median of its share of the other's loss and, in brackets, the worst.
 *
 *   node bench/run.mjs vectors [model] [types,…] [solvers,…] [tokens] [threads]
 */
import { findGrid } from '../src/grid/index.js';
import { errorOf, forLinearLayers, median } from './linear-layers.js';

const usualTypes =
  'int2-g32,int2-g64,int2-channel,int2-g32-asym,int2-g64-asym,int2-channel-asym,q2_k,q2_0,tq2_0';
const [, , , name = 'tales', list = usualTypes, solvers = 'rtn,gptq,decoupleq', count, threads = '1'] =
  process.argv;

interface Comparison {
  readonly layer: string;
  readonly ratio: number;
}
const found = new Map<string, Comparison[]>();

await forLinearLayers(
  { name, threads: Number(threads), ...(count ? { tokens: Number(count) } : {}) },
  async (context, layer, weight, moments) => {
    const { rows, cols } = weight;
    for (const type of list.split(',')) {
      const grid = findGrid(type);
      if (cols % grid.blockSize) continue;
      const bytes = grid.bytes(rows, cols);
      // Names of vector types have four digits of bits per weight.
      const vectors = findGrid(`vq-${Math.floor((80000 * bytes) / (rows * cols)) / 10000}`);
      if (vectors.bytes(rows, cols) > bytes) throw new Error(`${vectors.name} is larger than ${type}`);
      const ours = await errorOf(context, weight, moments, vectors, { solver: 'vptq', options: {} });
      for (const solver of solvers.split(',')) {
        const theirs = await errorOf(context, weight, moments, grid, { solver, options: {} });
        const key = `${type} | ${solver}`;
        found.set(key, [...(found.get(key) ?? []), { layer, ratio: ours / theirs }]);
      }
    }
  },
);

console.log('| scalar grid | solver | layers | VPTQ better in | VPTQ / scalar |');
console.log('| --- | --- | --: | --: | --: |');
for (const [key, comparisons] of found) {
  const sorted = comparisons.toSorted((a, b) => a.ratio - b.ratio);
  const worst = sorted.at(-1);
  const better = sorted.filter(({ ratio }) => ratio < 1).length;
  const middle = median(sorted.map(({ ratio }) => ratio)).toFixed(3);
  console.log(
    `| ${key} | ${sorted.length} | ${better} | ${middle} (${worst?.ratio.toFixed(3)} ${worst?.layer}) |`,
  );
}
