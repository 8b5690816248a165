/**
 * What shrinking second moments is worth: layer errors of a solver on another text, ÷ those of rounding to nearest, by the
 * rule that chooses the shrinkage λ: none (0), a fixed one, `auto` (solver/shrinkage.ts), Ledoit and Wolf's estimate in
 * the form of Schäfer and Strimmer (2005) and OAS (Chen et al., 2010), both of correlations. `best` is the best of the
 * shrinkages that auto chooses from, judged on the other text. Moments are those of the original model. Per rule the
 * geometric mean over layers of a role and, in brackets, the worst; then the range of λ.
 *
 *   node bench/run.mjs shrinkage [model] [tokens,…] [type] [solver] [blocks,…|all] [roles,…|all] [calibration] [evaluation]
 *     [tokens of evaluation]
 */
import { blockTensors, matrixShape } from '../src/architecture/architecture.js';
import { createForward } from '../src/architecture/forward.js';
import { createObserver } from '../src/calibration/observe.js';
import { shrinkMoments } from '../src/calibration/shrinkage.js';
import { findGrid } from '../src/grid/index.js';
import { toPanel } from '../src/kernels/panel.js';
import { type Context, withContext } from '../src/pipeline/context/context.js';
import { calibrationText } from '../src/pipeline/prepare/calibration-text.js';
import { createPasses } from '../src/pipeline/solve/passes.js';
import { findSolver } from '../src/solver/index.js';
import { layerError } from '../src/solver/layer-error.js';
import { chooseShrinkage, shrinkages } from '../src/solver/shrinkage.js';
import type { Matrix, Moments } from '../src/types.js';
import { shared, tales } from '../test/fixtures/data.js';

const [, , , name = 'tales', counts = '2048,8192,32768', type = 'int4', solver = 'gptq', ...rest] =
  process.argv;
const [blocks = 'all', roles = 'all', calibration, evaluation, tested = '16384'] = rest;
const testTokens = Number(tested);
const models: Readonly<Record<string, string>> = shared?.models ?? { tales: tales.model };
const model = models[name] ?? name;
const text = shared ?? tales;
const grid = findGrid(type);

/** Of correlations r: tr(r²) and, of their estimates, the sum of variances. */
interface Noise {
  readonly squares: number;
  readonly variances: number;
}

const rules: Readonly<Record<string, (context: Context, moments: Moments, noise: Noise) => Promise<number>>> =
  {
    '0': async () => 0,
    '0.1': async () => 0.1,
    '0.3': async () => 0.3,
    auto: (context, moments) => chooseShrinkage(context, moments),
    'Ledoit–Wolf': async (_, { gram }, { squares, variances }) => clamp(variances / (squares - gram.cols)),
    OAS: async (_, { gram: { cols: p }, tokens }, { squares }) =>
      clamp(((1 - 2 / p) * squares + p ** 2) / ((tokens + 1 - 2 / p) * (squares - p))),
  };
const clamp = (value: number) => Math.min(0.99, Math.max(0, value));

interface Row {
  readonly role: string;
  readonly tokens: number;
  readonly rule: string;
  readonly shrinkage: number;
  readonly ratio: number;
}
const rows: Row[] = [];

await withContext({ threads: 2 }, {}, async (context) => {
  const opened = await context.open(model);
  const { architecture } = opened;
  const tokenizer = await context.tokenizer(opened);
  const last = blocks === 'all' ? architecture.layers - 1 : Math.max(...blocks.split(',').map(Number));
  const wanted = (block: number, role: string) =>
    (blocks === 'all' || blocks.split(',').map(Number).includes(block)) &&
    (roles === 'all' || roles.split(',').some((each) => role.startsWith(each)));
  const sequencesOf = async (file: string, tokens: number) =>
    (await calibrationText({ calibration: file, tokens } as never, opened, tokenizer, {}, 0)).sequences;

  /** Visits the sites of a text's way through the model. */
  const visit = async (
    sequences: readonly Int32Array[],
    holdOut: boolean,
    site: (
      block: number,
      roles: readonly string[],
      moments: Moments,
      noise: () => Promise<Noise>,
    ) => Promise<void>,
  ) => {
    const passes = createPasses(context, architecture, holdOut ? { shrinkage: 0 } : {});
    const [forward, observer] = [createForward(architecture, context), createObserver(architecture, context)];
    let hidden = await forward.embedAll(sequences, await opened.readBlock(undefined));
    for (let block = 0; block <= last; block++) {
      const weights = await opened.readBlock(block);
      const inputsOf = async function* (role: string) {
        for (const batch of hidden) {
          const { sites } = await observer.observe(block, batch, weights);
          const found = sites.find((each) => each.roles.includes(role));
          if (found) yield found.inputs;
        }
      };
      if (blockTensors(architecture, block).some(({ role }) => wanted(block, role)))
        await passes.calibrator.walk({ block, hidden, weights }, async (at, moments) => {
          if (at.some((role) => wanted(block, role)))
            await site(block, at, moments, () => noiseOf(moments, inputsOf(at[0] ?? '')));
        });
      hidden = await forward.blockAll(block, hidden, weights);
    }
    await Promise.all([passes.release(), forward.release(), observer.release()]);
  };

  const tests = new Map<string, Matrix>();
  await visit(
    await sequencesOf(evaluation ?? text.evaluation, testTokens),
    false,
    async (block, at, { gram }) => {
      for (const role of at) tests.set(`${role} ${block}`, gram);
    },
  );
  for (const tokens of counts.split(',').map(Number)) {
    const sequences = await sequencesOf(calibration ?? text.calibration, tokens);
    await visit(sequences, true, async (block, at, moments, noise) => {
      const known = await noise();
      const chosen = new Map<string, number>();
      for (const [rule, choose] of Object.entries(rules))
        chosen.set(rule, await choose(context, moments, known));
      const weights = await opened.readBlock(block);
      for (const spec of blockTensors(architecture, block).filter(
        ({ role }) => at.includes(role) && wanted(block, role),
      )) {
        const [height, cols] = matrixShape(spec);
        const weight = { rows: height, cols, data: weights[spec.role] as Float32Array };
        const test = tests.get(`${spec.role} ${block}`) as Matrix;
        const found = new Map<number, number>();
        const errorOf = async (shrinkage: number, by = solver) => {
          const data = moments.gram.data.slice();
          const shrunk = shrinkMoments({ ...moments, gram: { ...moments.gram, data } }, shrinkage);
          return context.kernels.scope(async (arena) => {
            const panel = await toPanel(context.kernels, arena, weight);
            const tools = { ...context, arena };
            const { encoded } = await findSolver(by).solve(tools, panel, shrunk, grid, {});
            return layerError(tools, test, panel, encoded.values);
          });
        };
        const ratioOf = async (shrinkage: number, base: number) => {
          const ratio = found.get(shrinkage) ?? (await errorOf(shrinkage)) / base;
          found.set(shrinkage, ratio);
          return ratio;
        };
        const base = await errorOf(0, 'rtn');
        const role = spec.role.replace('.weight', '');
        for (const [rule, shrinkage] of chosen)
          rows.push({ role, tokens, rule, shrinkage, ratio: await ratioOf(shrinkage, base) });
        for (const each of shrinkages) await ratioOf(each, base);
        const [shrinkage, ratio] = [...found].reduce((best, each) => (each[1] < best[1] ? each : best));
        rows.push({ role, tokens, rule: 'best', shrinkage, ratio });
      }
    });
  }
});

async function noiseOf({ gram, tokens }: Moments, batches: AsyncIterable<Matrix>): Promise<Noise> {
  const { cols, data } = gram;
  const scale = Float64Array.from({ length: cols }, (_, i) => 1 / ((data[i * (cols + 1)] ?? 0) || 1));
  let squares = 0;
  for (let i = 0; i < cols; i++)
    for (let j = 0; j < cols; j++)
      squares += (data[i * cols + j] ?? 0) ** 2 * (scale[i] ?? 0) * (scale[j] ?? 0);
  let [fourth, count] = [0, 0];
  for await (const inputs of batches) {
    for (let row = 0; row < inputs.rows; row++) {
      let [sum, own] = [0, 0];
      for (let i = 0; i < cols; i++) {
        const z = (inputs.data[row * cols + i] ?? 0) ** 2 * (scale[i] ?? 0);
        sum += z;
        own += z * z;
      }
      fourth += sum * sum - own;
      count++;
    }
  }
  return { squares, variances: (fourth / count - (squares - cols)) / tokens };
}

const row = (...cells: readonly (string | number)[]) => console.log(`| ${cells.join(' | ')} |`);
const titles = [...Object.keys(rules), 'best'];
console.log(
  `${name}, ${type}, ${solver}; errors on ${testTokens} tokens of another text ÷ rounding to nearest`,
);
row('tokens', 'role', ...titles);
row('--:', '---', ...titles.map(() => '--:'));
for (const tokens of counts.split(',').map(Number))
  for (const role of [...new Set(rows.map((each) => each.role)), '']) {
    const cells = titles.map((rule) => {
      const own = rows.filter(
        (each) => each.tokens === tokens && (role === '' || each.role === role) && each.rule === rule,
      );
      const mean = Math.exp(own.reduce((sum, { ratio }) => sum + Math.log(ratio), 0) / own.length);
      const worst = Math.max(...own.map(({ ratio }) => ratio));
      const [low, high] = [Math.min, Math.max].map((f) =>
        f(...own.map(({ shrinkage }) => shrinkage)).toFixed(2),
      );
      const range = Number.isNaN(Number(rule)) ? `; ${low === high ? low : `${low}–${high}`}` : '';
      return `${mean.toFixed(3)} (${worst.toFixed(3)}${range})`;
    });
    row(tokens, role === '' ? 'all' : role, ...cells);
  }
