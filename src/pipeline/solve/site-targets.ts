import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { SiteMoments } from '../../calibration/site-moments.js';
import { product } from '../../checkpoint/decode.js';
import { collectGarbage } from '../../runtime/garbage.js';
import type { Run } from './run.js';
import { slabRows } from './slab.js';

/**
 * What the layers of a site are solved for, made before the first of them where all together take less memory than the
 * cross moments that they are made from: these are then removed from the moments.
 * @returns targets by layer, rows × cols; none where layers make their own, slab by slab
 */
export async function siteTargets(
  run: Run,
  specs: readonly TensorSpec[],
  moments: SiteMoments,
): Promise<Map<TensorSpec, Float32Array>> {
  const { context, targets } = run;
  const made = new Map<TensorSpec, Float32Array>();
  const elements = specs.reduce((sum, { shape }) => sum + product(shape), 0);
  if (!moments.crossMoments || elements >= moments.crossMoments.data.length) return made;
  for (const spec of specs) {
    const [rows, cols] = matrixShape(spec);
    const target = new Float32Array(rows * cols);
    for (let from = 0; from < rows; from += slabRows(cols)) {
      const to = Math.min(rows, from + slabRows(cols));
      const weight = { rows: to - from, cols, data: await run.original(spec)(from, to) };
      const { data } = await context.stopwatch.time('solve', () => targets.of(weight, moments));
      target.set(data, from * cols);
    }
    made.set(spec, target);
  }
  delete moments.crossMoments;
  collectGarbage(4 * elements);
  return made;
}
