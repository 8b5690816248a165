import type { Encoded } from '../../grid/grid.js';
import type { Arena } from '../../kernels/kernels.js';
import type { SolverContext } from '../solver.js';
import type { DescentPlan } from './plan.js';
import type { Progress, Sweeps } from './sweeps.js';

/** The last annealed sweep is so many times cooler than the first. */
const cooling = 10;

/**
 * Simulated annealing (Kirkpatrick, Gelatt, Vecchi, 1983) before the last descent: sweeps at falling temperatures, in
 * which columns move to the value nearest to the best one plus noise (a Gibbs sampler's step, its normal
 * distribution replaced by a uniform one), while scales and offsets follow as in any sweep.
 * A row's temperature is measured in its loss per column.
 * @param first what the sweep before did
 * @param gained per row: what the sweeps change is added
 */
export async function anneal(
  arena: Arena,
  { sweep }: Sweeps,
  { stride, cols }: Encoded,
  { temperature, annealingSweeps, annealingPasses }: DescentPlan,
  first: Progress,
  gained: Float64Array,
): Promise<void> {
  const losses = first.losses.map((loss, row) => Math.max(0, loss - (first.gains[row] ?? 0)));
  const temperatures = arena.f32(stride);
  for (let i = 0; i < annealingSweeps; i++) {
    const cooled = temperature * cooling ** (-i / Math.max(1, annealingSweeps - 1));
    temperatures.set(losses.map((loss) => (6 * cooled * loss) / cols));
    add(gained, (await sweep({ temperatures, annealingPasses, seed: i + 1 })).gains);
  }
}

/** sums += values. */
export function add(sums: Float64Array, values: Float64Array): void {
  for (const [i, value] of values.entries()) sums[i] = (sums[i] ?? 0) + value;
}

/**
 * Remembers codes and parameters.
 * @returns a function that puts them back in the rows whose entry of `gained` is negative; tells if there were any
 */
export function remember(
  { kernels }: SolverContext,
  arena: Arena,
  { codes, parameters, stride }: Encoded,
): (gained: Float64Array) => boolean {
  const { scale, offset, stored } = parameters;
  const arrays = [scale, offset, ...Object.values(stored), ...(codes ? [codes] : [])].map((now) => {
    const bytes = new Uint8Array(now.buffer, now.byteOffset, now.byteLength);
    const old = arena.u8(bytes.length);
    old.set(bytes);
    return { now: bytes, old, size: now.BYTES_PER_ELEMENT };
  });
  const lost = arena.u8(stride);
  return (gained) => {
    lost.set(gained.map((gain) => (gain < 0 ? 1 : 0)));
    if (!lost.includes(1)) return false;
    for (const { now, old, size } of arrays)
      kernels.parallel('restoreRows', stride, {
        lines: Math.floor(now.length / size / stride),
        stride,
        size,
        lost,
        old,
        now,
      });
    return true;
  };
}
