/**
 * Layer errors of tersor's own grids beside uniform integers of about the same size, on every linear layer of a model
 * under the second moments of the original model's activations: bits per weight of both, and the median over the layers
 * of the share of the integers' error, in brackets the worst.
 *
 *   node bench/run.mjs grids [model] [type:integers,…] [solver] [tokens] [threads]
 */
import { findGrid } from '../src/grid/index.js';
import { errorOf, forLinearLayers, median } from './linear-layers.js';

const [, , , name = 'tales', list, solver = 'gptq', tokens = '4096', threads = '1'] = process.argv;
const pairs = (
  list ??
  'int4-ada:int4,int3-g64-ada:int3-g64,int2-g16-asym-ada:int2-g16-asym,codebook2:int2,codebook3:int3-g64,codebook4:int4,' +
    'power3:int3,power4:int4,fp4-e2m1:int4,fp4-e3m0:int4,fp6-e2m3:int6,fp8-e4m3:int8,nvfp4:int4-g16,signs2:int2,signs3:int3,' +
    'signs4:int4'
)
  .split(',')
  .map((pair) => pair.split(':') as [string, string]);

interface Measured {
  readonly ratio: number;
  readonly bits: readonly number[];
}

const found = new Map<string, Measured[]>();
await forLinearLayers(
  { name, threads: Number(threads), tokens: Number(tokens) },
  async (context, _layer, weight, moments) => {
    const errors = new Map<string, number>();
    const procedure = { solver, options: {} };
    for (const pair of pairs) {
      const grids = pair.map(findGrid);
      if (grids.some(({ blockSize }) => Number.isFinite(blockSize) && weight.cols % blockSize)) continue;
      for (const grid of grids)
        if (!errors.has(grid.name))
          errors.set(grid.name, await errorOf(context, weight, moments, grid, procedure));
      const [error = Number.NaN, base = Number.NaN] = pair.map((type) => errors.get(type));
      const bits = grids.map((grid) => (8 * grid.bytes(weight.rows, weight.cols)) / weight.data.length);
      const key = pair.join(' | ');
      found.set(key, [...(found.get(key) ?? []), { ratio: error / base, bits }]);
    }
  },
);

console.log('| grid | integers | layers | bits | bits of the integers | share of their error |');
console.log('| --- | --- | --: | --: | --: | --: |');
for (const [pair, measured] of found) {
  const ratios = measured.map(({ ratio }) => ratio);
  const [bits, base] = [0, 1].map((at) =>
    median(measured.map((each) => each.bits[at] ?? Number.NaN)).toFixed(2),
  );
  const share = `${median(ratios).toFixed(3)} (${Math.max(...ratios).toFixed(3)})`;
  console.log(`| ${pair} | ${measured.length} | ${bits} | ${base} | ${share} |`);
}
