import { TersorError } from '../../errors.js';
import { isOutlierGrid, type OutlierGrid } from '../../grid/tersor/outliers.js';
import type { Arena } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Moments } from '../../types.js';
import { type DecoupleQOptions, decoupleQDefaults } from '../decoupleq.js';
import { settle } from '../descent/descent.js';
import { prepareSweeps } from '../descent/sweeps.js';
import { gptq } from '../gptq.js';
import { importanceOf } from '../importance.js';
import { layerLoss } from '../layer-error.js';
import { rtn } from '../rtn.js';
import type { Solver, SolverContext } from '../solver.js';
import { chooseColumns, chooseOutliers } from './support.js';
import { prepareOutliers } from './values.js';

export interface OutliersOptions extends Omit<DecoupleQOptions, 'scales'> {
  /** Outliers of a row and block of columns that may change places after every sweep. */
  readonly exchanges: number;
}

export const outliersDefaults: OutliersOptions = { ...decoupleQDefaults, exchanges: 4 };

/**
 * QuantEase with outliers (Behdin et al., 2023, algorithm 3): ŵ = b + s, b on a grid and s sparse. Outliers are
 * chosen first, so that scales are fitted without them; then codes and scales (a sweep of decoupleQ on W − S) and
 * outliers take turns. Where the paper takes one gradient step for all of S and keeps its largest entries, here every
 * entry takes its exact minimum and entries change places one by one when that lowers the loss, so that it never
 * rises.
 * @throws TersorError for other grids, and for a second moment that is not finite or not positive semi-definite
 */
export const outliers: Solver<OutliersOptions> = async (context, weight, moments, grid, options = {}) => {
  if (!isOutlierGrid(grid))
    throw new TersorError(`the solver outliers keeps some weights apart and type ${grid.name} does not`, {
      remedy: 'choose a type such as int3-g64-s1, or the solver decoupleq',
    });
  const plan = { ...decoupleQDefaults, ...outliersDefaults, ...options };
  const { kernels, arena } = context;
  const { rows, cols, stride } = weight;
  const bytes = grid.bytes(rows, cols); // throws where groups are not whole
  const sparse = arena.f32(cols * stride);
  const { marks, columns } = await choose(context, arena, weight, moments, grid);
  const rest = { ...weight, data: arena.f32(cols * stride) };
  const takeOut = (from: Float32Array) =>
    kernels.parallel('takeOut', stride, { stride, cols, marks, weight: from, outliers: sparse });
  const subtract = (y: Float32Array) =>
    kernels.parallel('subtractPanels', stride, { cols, stride, x: weight.data, y, difference: rest.data });
  takeOut(weight.data);
  subtract(sparse);
  const start = moments && plan.start === 'gptq' ? gptq : rtn;
  const { encoded } = await start(context, rest, moments, grid.base);
  if (!moments) {
    subtract(encoded.values);
    takeOut(rest.data);
  } else
    await kernels.scope(async (inner) => {
      const { gram } = moments;
      const exchanges = grid.columns ? 0 : plan.exchanges;
      const layer = { weight, gram, encoded, outliers: sparse, marks };
      const improve = prepareOutliers(context, inner, layer, { ...plan, exchanges });
      const sweeps = prepareSweeps(context, inner, rest, gram, encoded, plan);
      let loss = await layerLoss(context, gram, rest, encoded.values);
      loss -= await improve();
      for (let i = 0; i < plan.sweeps; i++) {
        subtract(sparse);
        await sweeps.refresh();
        const settled =
          i === 0 ? await settle(context, inner, sweeps, encoded, plan) : (await sweeps.sweep()).gain;
        const gain = settled + (await improve());
        if (gain < plan.tolerance * loss) break;
        loss -= gain;
      }
    });
  const { values, parameters } = encoded;
  kernels.parallel('addOutliers', values.length, { outliers: sparse, values });
  const stored = { ...parameters.stored, outliers: sparse, ...(columns ? { columns } : {}) };
  return {
    encoded: { ...encoded, grid, parameters: { ...parameters, stored } },
    bytes,
  };
};

/** Marks of the weights that may be outliers, and the numbers of their columns where these are whole. */
async function choose(
  context: SolverContext,
  arena: Arena,
  weight: Panel,
  moments: Moments | undefined,
  grid: OutlierGrid,
): Promise<{ readonly marks: Uint8Array; readonly columns?: Uint16Array }> {
  const importance = importanceOf(arena, weight.cols, moments);
  // Other columns make up for much of what those with a large diag H lose. Among powers of diag H the root gave the
  // smallest losses on layers of language models, by about 1 % against diag H itself.
  for (const [column, energy] of importance.entries()) importance[column] = Math.sqrt(energy);
  if (grid.columns) return chooseColumns(context, arena, weight, importance, grid);
  return { marks: await chooseOutliers(context, arena, weight, importance, grid) };
}
