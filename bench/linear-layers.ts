import { blockTensors, matrixShape } from '../src/architecture/architecture.js';
import { createForward } from '../src/architecture/forward.js';
import { createCalibrator } from '../src/calibration/walk.js';
import type { Grid } from '../src/grid/grid.js';
import { toPanel } from '../src/kernels/panel.js';
import { type Context, withContext } from '../src/pipeline/context/context.js';
import { calibrationText } from '../src/pipeline/prepare/calibration-text.js';
import { findSolver } from '../src/solver/index.js';
import { layerError } from '../src/solver/layer-error.js';
import type { Matrix, Moments } from '../src/types.js';
import { shared, tales } from '../test/fixtures/data.js';

/**
 * Every linear layer of the blocks of a model of ../shared/data (or tales), with the second moments of its inputs in the
 * original model.
 */
export async function forLinearLayers(
  { name, tokens, threads }: { readonly name: string; readonly tokens?: number; readonly threads: number },
  visit: (context: Context, layer: string, weight: Matrix, moments: Moments) => Promise<void>,
): Promise<void> {
  const models: Readonly<Record<string, string>> = shared?.models ?? { tales: tales.model };
  const model = models[name];
  if (!model) throw new Error(`there is no model ${name} in ../shared/data`);
  await withContext({ threads }, {}, async (context) => {
    const opened = await context.open(model);
    const { architecture } = opened;
    const options = {
      model,
      output: '',
      calibration: (shared ?? tales).calibration,
      ...(tokens ? { tokens } : {}),
    };
    const calibration = await calibrationText(options, opened, await context.tokenizer(opened), {});
    console.log(`${name}, ${calibration.tokens} tokens`);
    const forward = createForward(architecture, context);
    const calibrator = createCalibrator(architecture, context);
    let hidden = await forward.embedAll(calibration.sequences, await opened.readBlock(undefined));
    for (let block = 0; block < architecture.layers; block++) {
      const weights = await opened.readBlock(block);
      const specs = blockTensors(architecture, block);
      const passed = await calibrator.walk({ block, hidden, weights }, async (roles, moments) => {
        for (const spec of specs.filter(({ role }) => roles.includes(role))) {
          const [rows, cols] = matrixShape(spec);
          const data = weights[spec.role];
          const layer = `${spec.role.replace('.weight', '')} ${block}`;
          if (data) await visit(context, layer, { rows, cols, data }, moments);
        }
      });
      hidden = passed.output;
    }
    await forward.release();
    await calibrator.release();
  });
}

/** A solver with options. */
export interface Procedure {
  readonly solver: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** The relative error of a layer on a grid. */
export async function errorOf(
  context: Context,
  weight: Matrix,
  moments: Moments,
  grid: Grid,
  { solver, options }: Procedure,
): Promise<number> {
  return context.kernels.scope(async (arena) => {
    const panel = await toPanel(context.kernels, arena, weight);
    const { solve } = findSolver(solver);
    const inner = { ...context, arena };
    const { encoded } = await solve(inner, panel, moments, grid, options);
    return layerError(inner, moments.gram, panel, encoded.values);
  });
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
}
