import type { Columns } from './expression.js';
import type { TensorFacts } from './measure.js';

/**
 * Cheap facts of a tensor's levels by name, one value per level: what formulas of `evolveProxy` are made of. No
 * measured divergence is among them.
 */
export function proxyColumns({ levels, statistics }: TensorFacts): Columns {
  const column = (value: number) => levels.map(() => value);
  return {
    error: levels.map(({ relativeError }) => relativeError),
    weightError: levels.map(({ relativeError, weightError = relativeError }) => weightError),
    energy: column(statistics?.energy ?? 1),
    elements: column(statistics?.elements ?? 1),
    outliers: column(statistics?.outliers ?? 1),
    entropy: column(statistics?.entropy ?? 1),
    // 1 outside of blocks, as the measure `lim` counts it.
    turn: column(1 - (statistics?.cosine ?? 0)),
    depth: column(statistics?.depth ?? 0),
  };
}
