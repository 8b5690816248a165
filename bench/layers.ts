/**
 * Layer errors of the solvers on every linear layer of a model, under the second moments of the original model's
 * activations, as shares of GPTQ's on the same grid: of the published procedure (columns in their order, scales from the
 * smallest and largest weight of each group when it is reached) and of tersor's own. `outliers` (1 %) is compared with
 * QuantEase as published (such scales, one column at a time) and with tersor's own, both without outliers. Per type the
 * median over the layers and, in brackets, the worst.
 *
 *   node bench/run.mjs layers [model] [types,…] [solvers,…] [tokens] [threads]
 *
 * A solver may have options behind its name: decoupleq:annealingSweeps=16:windows=16.
 */
import { findGrid } from '../src/grid/index.js';
import { findOutlierGrid } from '../src/grid/tersor/outliers.js';
import type { Context } from '../src/pipeline/context/context.js';
import type { Matrix, Moments } from '../src/types.js';
import { errorOf, forLinearLayers, median, type Procedure } from './linear-layers.js';

const [, , , name = 'tales', list, solvers = 'quantease,decoupleq,outliers', count, threads = '1'] =
  process.argv;
const sharings = ['', '-g64', '-channel'];
const types =
  list?.split(',') ?? [2, 3, 4].flatMap((bits) => sharings.map((sharing) => `int${bits}${sharing}`));
interface Run extends Procedure {
  readonly title: string;
}

const range = { scales: 'range' };
const published: Run = {
  title: 'GPTQ as published',
  solver: 'gptq',
  options: { ...range, order: 'natural' },
};
const own: Run = { title: '`gptq`', solver: 'gptq', options: {} };
const publishedDescent: Run = {
  title: 'QuantEase as published',
  solver: 'quantease',
  options: { ...range, windows: 0, temperature: 0 },
};

const chosen: readonly Run[] = solvers.split(',').map((title) => {
  const [solver = '', ...options] = title.split(':');
  const entries = options.map((option) => option.split('='));
  return {
    title: `\`${title}\``,
    solver,
    options: Object.fromEntries(
      entries.map(([key, value]) => [key, Number.isNaN(Number(value)) ? value : Number(value)]),
    ),
  };
});
/** What each solver is compared with. */
const comparisons = (run: Run): readonly Run[] =>
  run.solver === 'outliers'
    ? [publishedDescent, { title: '`quantease`', solver: 'quantease', options: {} }]
    : [published, own];

type Errors = Map<string, number>;
/** By type and layer. */
const table = new Map<string, Map<string, Errors>>();

async function measure(context: Context, layer: string, weight: Matrix, moments: Moments): Promise<void> {
  for (const type of types) {
    const grid = findGrid(type);
    if (Number.isFinite(grid.groupSize) && weight.cols % grid.groupSize) continue;
    const errors: Errors = new Map();
    for (const run of chosen) {
      const sparse = run.solver === 'outliers' ? findOutlierGrid(`${type}-s1`) : grid;
      if (!sparse) throw new Error(`type ${type} has no outliers`);
      for (const [each, on] of [
        ...comparisons(run).map((other) => [other, grid] as const),
        [run, sparse] as const,
      ])
        if (!errors.has(each.title))
          errors.set(each.title, await errorOf(context, weight, moments, on, each));
    }
    const layers = table.get(type) ?? new Map<string, Errors>();
    table.set(type, layers.set(layer, errors));
  }
}

await forLinearLayers(
  { name, threads: Number(threads), ...(count ? { tokens: Number(count) } : {}) },
  measure,
);

const columns = chosen.flatMap((run) => comparisons(run).map((other) => ({ run, other })));
const row = (...cells: readonly (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);
row('type', 'layers', ...columns.map(({ run, other }) => `${run.title} / ${other.title}`));
row('---', '--:', ...columns.map(() => '--:'));
for (const [type, layers] of table) {
  const cells = columns.map(({ run, other }) => {
    const ratios = [...layers].map(([layer, errors]) => ({
      layer,
      ratio: (errors.get(run.title) ?? Number.NaN) / (errors.get(other.title) ?? Number.NaN),
    }));
    const sorted = ratios.sort((a, b) => a.ratio - b.ratio);
    const worst = sorted.at(-1);
    return `${median(sorted.map(({ ratio }) => ratio)).toFixed(3)} (${worst?.ratio.toFixed(3)} ${worst?.layer})`;
  });
  row(type, layers.size, ...cells);
}
