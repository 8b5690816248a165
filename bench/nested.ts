/**
 * Layer errors of nested bits: every linear layer of a model on `nested8`, read at each precision from its bytes, as
 * shares of what plain rounding to as many bits of its own loses (`int8-channel`, `int6-channel` …), under the moments of
 * the original model's activations.
 *
 *   node bench/run.mjs nested [model] [solvers,…] [tokens] [threads]
 */
import { findGrid } from '../src/grid/index.js';
import { nestedPrefix } from '../src/grid/tersor/nested.js';
import { nestedBits } from '../src/grid/tersor/nested-levels.js';
import { toPanel } from '../src/kernels/panel.js';
import { findSolver } from '../src/solver/index.js';
import { layerError } from '../src/solver/layer-error.js';
import { forLinearLayers, median } from './linear-layers.js';

const [, , , name = 'tales', solvers = 'rtn,nested', tokens, threads = '1'] = process.argv;
interface Share {
  readonly layer: string;
  readonly solver: string;
  readonly bits: number;
  readonly share: number;
}
const shares: Share[] = [];
const settings = { name, threads: Number(threads), ...(tokens ? { tokens: Number(tokens) } : {}) };

await forLinearLayers(settings, async (context, layer, weight, moments) => {
  const { kernels } = context;
  const { rows, cols } = weight;
  await kernels.scope(async (arena) => {
    const bench = { ...context, arena };
    const panel = await toPanel(kernels, arena, weight);
    const direct = new Map<number, number>();
    for (const bits of nestedBits) {
      const solution = await findSolver('rtn').solve(bench, panel, moments, findGrid(`int${bits}-channel`));
      direct.set(bits, await layerError(bench, moments.gram, panel, solution.encoded.values));
    }
    for (const solver of solvers.split(',')) {
      const { encoded } = await findSolver(solver).solve(bench, panel, moments, findGrid('nested8'));
      const bytes = await encoded.grid.pack(kernels, encoded);
      for (const bits of nestedBits) {
        const part = nestedPrefix(bytes, rows, cols, bits);
        const { values } = await findGrid(`nested${bits}`).unpack(kernels, arena, part, rows, cols);
        const error = await layerError(bench, moments.gram, panel, values);
        shares.push({ layer, solver, bits, share: error / (direct.get(bits) ?? Number.NaN) });
      }
    }
  });
});

const row = (...cells: readonly (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);
row('solver', ...nestedBits.map((bits) => `${bits} bits`));
row('---', ...nestedBits.map(() => '--:'));
for (const solver of solvers.split(',')) {
  const cells = nestedBits.map((bits) => {
    const own = shares.filter((each) => each.solver === solver && each.bits === bits);
    const worst = own.reduce((a, b) => (a.share > b.share ? a : b));
    return `${median(own.map(({ share }) => share)).toFixed(3)} (${worst.share.toFixed(3)} ${worst.layer})`;
  });
  row(`\`${solver}\``, ...cells);
}
