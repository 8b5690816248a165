import { TersorError } from '../errors.js';
import {
  type Allocation,
  type Choice,
  checkBudget,
  type IndexedLevel,
  smallest,
  total,
  worthwhile,
} from './table.js';

export interface LayerDpOptions {
  /** Most cells that the budget is divided into, when no coarser unit divides all sizes. */
  readonly cells: number;
}

export const layerDpDefaults: LayerDpOptions = { cells: 20_000 };

/**
 * The allocation of least loss within a budget by dynamic programming over tensors and a grid of sizes: for every
 * tensor and every size the least loss that the tensors so far can have, in time linear in tensors × cells ×
 * levels (Xu et al., 2023, "Efficient joint optimization of layer-adaptive weight pruning in deep neural
 * networks", arXiv:2308.10438, where levels are pruning ratios and loss is the distortion of the output, which
 * they find to be additive).
 *
 * Exact when the greatest common divisor of the size differences cuts the budget into no more than `cells`;
 * otherwise sizes are rounded up to the grid, so that the budget holds, and what that leaves unused is offered again.
 *
 * @throws TersorError when the table holds no number, or the budget is below the smallest size
 */
export function layerDp(
  choices: readonly Choice[],
  budget: number,
  options: Partial<LayerDpOptions> = {},
): Allocation {
  const { cells: most } = { ...layerDpDefaults, ...options };
  if (!(most >= 1)) throw new TersorError('dynamic programming needs at least one cell');
  checkBudget(choices, budget);
  const floor = smallest(choices);
  const tensors = choices.map((choice) => {
    const levels = worthwhile(choice);
    const least = levels[0]?.bytes ?? 0;
    return levels.map((level) => ({ ...level, bytes: level.bytes - least }));
  });
  // More than the largest of every tensor is never used.
  const ceiling = tensors.reduce((sum, levels) => sum + (levels.at(-1)?.bytes ?? 0), 0);
  const spare = Math.min(budget - floor.bytes, ceiling);
  const divisor = tensors.flat().reduce((result, { bytes }) => gcd(result, bytes), 0) || 1;
  const unit = Math.max(divisor, spare / most);
  const exact = unit === divisor;

  const attempt = (bytes: number) => total(choices, onGrid(tensors, Math.floor(bytes / unit), unit));
  let best = attempt(spare);
  // What rounding left unused is offered on top, as long as the true sizes keep the budget.
  for (let [pass, offered] = [1, spare]; !exact && pass < passes; pass++) {
    const unused = Math.min(budget, floor.bytes + ceiling) - best.bytes;
    if (unused < unit) break;
    offered += unused;
    const next = attempt(offered);
    if (next.bytes > budget || next.loss >= best.loss) break;
    best = next;
  }
  return best;
}

/** Dynamic programmes at most; the second wins back nearly all that rounding loses. */
const passes = 3;

/** Indices of the levels of least loss whose sizes, each rounded up to units, fit into so many units. */
function onGrid(tensors: readonly (readonly IndexedLevel[])[], units: number, unit: number): number[] {
  const cells = units + 1;
  // A size that is a multiple of the unit but for rounding must not cost one more.
  const cost = (bytes: number) => Math.ceil(bytes / unit - 1e-9);
  // best[c]: least loss of the tensors so far in at most c units.
  let best = new Float64Array(cells);
  const chosen = tensors.map((levels) => {
    const next = new Float64Array(cells).fill(Infinity);
    const positions = new Uint16Array(cells);
    for (const [position, { bytes, loss }] of levels.entries()) {
      const step = cost(bytes);
      for (let cell = step; cell < cells; cell++) {
        const sum = (best[cell - step] ?? 0) + loss;
        if (sum >= (next[cell] ?? 0)) continue;
        next[cell] = sum;
        positions[cell] = position;
      }
    }
    best = next;
    return positions;
  });

  const indices = tensors.map(() => 0);
  // The smallest size that has the least loss.
  let cell = best.indexOf(best[units] ?? 0);
  for (let tensor = tensors.length - 1; tensor >= 0; tensor--) {
    const level = tensors[tensor]?.[chosen[tensor]?.[cell] ?? 0];
    indices[tensor] = level?.index ?? 0;
    cell -= cost(level?.bytes ?? 0);
  }
  return indices;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}
