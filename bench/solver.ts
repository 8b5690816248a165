/**
 * The solvers on synthetic layers beside onnxruntime's bare matrix product in the same run. The ratio is the time
 * over what that product takes for as many floating-point operations: n³/3 to factor H, n² · rows each for the
 * feedback and for the layer's energy, without which there is no relative error. Of coordinate descent, from GPTQ, the
 * second sweep is timed: 2 · n² · rows for the gradient. Where python3 has torch, the published GPTQ procedure
 * (bench/gptq_torch.py, run `torch`) is timed on the same layer, at 4 bits in groups of 32, beside tersor's at equal bytes:
 * with its own scales and order, and with the published ones.
 *
 * With one thread all times are processor time, which other work on the machine moves far less than the clock on the
 * wall. At the end, how the times of layers that differ only in rows, or only in columns, compare with their operations.
 *
 *   node bench/run.mjs solver [rows×columns,…] [types,…] [threads] [runs,…]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Grid } from '../src/grid/grid.js';
import { findGrid } from '../src/grid/index.js';
import { createKernels, type Kernels } from '../src/kernels/kernels.js';
import { toPanel } from '../src/kernels/panel.js';
import { createGemm, type Gemm } from '../src/runtime/gemm.js';
import { decoupleQDefaults } from '../src/solver/decoupleq.js';
import type { DescentPlan } from '../src/solver/descent/plan.js';
import { prepareSweeps } from '../src/solver/descent/sweeps.js';
import { gptq } from '../src/solver/gptq.js';
import { findSolver } from '../src/solver/index.js';
import { layerError } from '../src/solver/layer-error.js';
import { quantEaseDefaults } from '../src/solver/quantease.js';
import type { Matrix } from '../src/types.js';
import { syntheticGram } from '../test/reference/gram.js';
import { normals } from '../test/reference/random.js';

const [
  ,
  ,
  ,
  sizes = '1024x1024,4096x1024,1024x4096,4096x4096,11008x4096',
  types = 'q4_0,iq4_nl,q4_k',
  count,
  wanted,
] = process.argv;
const threads = Number(count ?? availableParallelism());
const kernels = await createKernels({ threads });
const gemm = createGemm({ threads });

/** Milliseconds. */
function now(): number {
  if (threads > 1) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Milliseconds by stage; fits and products count what runs inside them. */
interface Clock {
  readonly stages: Record<string, number>;
  readonly kernels: Kernels;
  readonly gemm: Gemm;
  grid(grid: Grid): Grid;
}

function clock(): Clock {
  const stages: Record<string, number> = { fit: 0, product: 0 };
  let fitting = false;
  const add = (stage: string, start: number) => {
    stages[stage] = (stages[stage] ?? 0) + now() - start;
  };
  const timed = async <T>(stage: string, work: () => Promise<T>) => {
    const start = now();
    const result = await work();
    add(stage, start);
    return result;
  };
  return {
    stages,
    kernels: {
      ...kernels,
      parallel(name, rows, values) {
        const start = now();
        kernels.parallel(name, rows, values);
        if (!fitting) add(name, start);
      },
      call(name, values) {
        const start = now();
        const result = kernels.call(name, values);
        if (!fitting) add(name, start);
        return result;
      },
    },
    gemm: Object.assign((...args: Parameters<Gemm>) => timed('product', () => gemm(...args)), {
      release: gemm.release,
    }),
    grid: (grid) => ({
      ...grid,
      async fit(...args) {
        fitting = true;
        await timed('fit', () => grid.fit(...args));
        fitting = false;
      },
    }),
  };
}

const squareSize = 4096;
const square = { data: normals(squareSize ** 2, 1), shape: [squareSize, squareSize] };
const into = new Float32Array(squareSize ** 2);

/** Floating-point operations per millisecond of a square product. */
async function productSpeed(): Promise<number> {
  const start = now();
  await gemm(square, square, { into });
  return (2 * squareSize ** 3) / (now() - start);
}
await productSpeed();

type Run =
  | { readonly label: string; readonly solver: string }
  /** One sweep of a descent. */
  | { readonly label: string; readonly plan: DescentPlan };

const still = { refits: 0, trials: 0 };
const runs: readonly Run[] = [
  { label: 'rtn', solver: 'rtn' },
  { label: 'gptq', solver: 'gptq' },
  { label: 'descent sweep', plan: { ...quantEaseDefaults, ...still, windows: 0, passes: 1 } },
  { label: 'quantease sweep', plan: { ...quantEaseDefaults, ...still } },
  { label: 'decoupleq sweep', plan: decoupleQDefaults },
];

async function time(
  layer: { weight: Matrix; gram: Matrix },
  type: string,
  solver: string,
  options: Readonly<Record<string, unknown>> = {},
) {
  const { stages, grid, ...bench } = clock();
  const { solve } = findSolver(solver);
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, layer.weight);
    const moments = { gram: layer.gram, tokens: 1 };
    const start = now();
    const solution = await solve({ ...bench, arena }, panel, moments, grid(findGrid(type)), options);
    const milliseconds = now() - start;
    const error = await layerError({ ...bench, arena }, layer.gram, panel, solution.encoded.values);
    return { stages, error, milliseconds };
  });
}

/** Times the second sweep of a descent from the result of GPTQ. */
async function timeSweep(layer: { weight: Matrix; gram: Matrix }, type: string, plan: DescentPlan) {
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, layer.weight);
    const { encoded } = await gptq(
      { kernels, gemm, arena },
      panel,
      { gram: layer.gram, tokens: 1 },
      findGrid(type),
    );
    const { stages, ...bench } = clock();
    const { sweep } = prepareSweeps({ ...bench, arena }, arena, panel, layer.gram, encoded, plan);
    await sweep();
    for (const stage of Object.keys(stages)) stages[stage] = 0;
    const start = now();
    await sweep();
    const milliseconds = now() - start;
    return {
      stages,
      error: await layerError({ kernels, gemm, arena }, layer.gram, panel, encoded.values),
      milliseconds,
    };
  });
}

/** The published procedure on this layer: milliseconds and error; undefined without torch. */
function published({ weight, gram }: { weight: Matrix; gram: Matrix }) {
  // Debian's own may stand behind another in the path.
  const python = ['python3', '/usr/bin/python3'].find(
    (name) => spawnSync(name, ['-c', 'import numpy, torch']).status === 0,
  );
  if (!python) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'tersor-bench-'));
  try {
    writeFileSync(join(folder, 'weight.f32'), new Uint8Array(weight.data.buffer));
    writeFileSync(join(folder, 'gram.f32'), new Uint8Array(gram.data.buffer));
    const script = new URL('bench/gptq_torch.py', `file://${process.cwd()}/`).pathname;
    const args = [script, folder, ...[weight.rows, weight.cols, 4, 32, threads].map(String)];
    const [seconds = Number.NaN, error = Number.NaN] = spawnSync(python, args, { encoding: 'utf8' })
      .stdout.split(' ')
      .map(Number);
    return { milliseconds: 1000 * seconds, error };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Timed {
  readonly rows: number;
  readonly cols: number;
  readonly run: string;
  readonly milliseconds: number;
  readonly operations: number;
}
const results: Timed[] = [];
const isWanted = (run: string) => wanted?.split(',').includes(run) ?? true;

console.log(`threads ${threads}, ${threads > 1 ? 'time on the clock' : 'processor time'}`);
for (const size of sizes.split(',')) {
  const [rows = 0, cols = 0] = size.split(/[x×]/).map(Number);
  const layer = {
    gram: await syntheticGram(gemm, cols, 1),
    weight: { rows, cols, data: normals(rows * cols, 2) },
  };
  const peer = isWanted('torch') ? published(layer) : undefined;
  if (peer) {
    for (const options of [{}, { order: 'natural', scales: 'range' }]) {
      const { milliseconds, error } = await time(layer, 'int4-g32-asym', 'gptq', options);
      console.log(
        `${rows}×${cols}  int4-g32-asym  gptq ${JSON.stringify(options)} ${milliseconds.toFixed(0)} ms, error ` +
          `${error.toExponential(3)}; in torch ${peer.milliseconds.toFixed(0)} ms, error ` +
          `${peer.error.toExponential(3)}: ${(peer.milliseconds / milliseconds).toFixed(1)} times as fast`,
      );
    }
  }
  for (const type of types.split(',')) {
    for (const run of runs.filter(({ label }) => isWanted(label))) {
      const before = await productSpeed();
      const { stages, error, milliseconds } = await ('plan' in run
        ? timeSweep(layer, type, run.plan)
        : time(layer, type, run.solver));
      const speed = (before + (await productSpeed())) / 2;
      const product = 2 * cols ** 2 * rows; // a sweep's; or two halves of a symmetric H: of Δ or feedback and of W
      const operations = product + (run.label === 'gptq' ? cols ** 3 / 3 : 0);
      results.push({ rows, cols, run: `${type} ${run.label}`, milliseconds, operations });
      const parts = Object.entries(stages)
        .sort(([, a], [, b]) => b - a)
        .filter(([, ms]) => ms > 0.01 * milliseconds)
        .map(([stage, ms]) => `${stage} ${ms.toFixed(0)}`);
      console.log(
        [
          `${rows}×${cols}`.padEnd(10),
          type.padEnd(7),
          run.label.padEnd(15),
          `${milliseconds.toFixed(0).padStart(6)} ms`,
          `${((milliseconds * speed) / operations).toFixed(2).padStart(5)} × product at ${(speed / 1e6).toFixed(0)} GFLOP/s`,
          `error ${error.toExponential(3)}`,
          parts.join(', '),
        ].join('  '),
      );
    }
  }
}
for (const [i, a] of results.entries())
  for (const b of results.slice(i + 1)) {
    if (a.run !== b.run || (a.rows === b.rows) === (a.cols === b.cols)) continue;
    const [small, large] = a.operations < b.operations ? [a, b] : [b, a];
    const [work, time] = [large.operations / small.operations, large.milliseconds / small.milliseconds];
    console.log(
      `${small.run}: ${large.rows}×${large.cols} takes ${time.toFixed(1)} times as long as ` +
        `${small.rows}×${small.cols}, for ${work.toFixed(1)} times the operations`,
    );
  }
kernels.close();
