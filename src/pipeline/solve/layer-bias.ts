import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { Rows } from '../../architecture/forward.js';
import { isCoded } from '../../grid/grid.js';
import type { Moments } from '../../types.js';
import type { Run } from './run.js';

/** The bias that takes what rounding does to the mean of a layer's outputs, if the layer has one and the recipe lets it. */
export function correctableBias(
  run: Run,
  layer: TensorSpec,
  specs: readonly TensorSpec[],
): TensorSpec | undefined {
  if (run.job.recipe.bias === 'kept' || !isCoded(run.assignment(layer).grid)) return undefined;
  const role = layer.role.replace(/weight$/, 'bias');
  return role === layer.role ? undefined : specs.find((spec) => spec.role === role);
}

/** The corrected bias of a layer that has become what `decoded` reads. */
export async function correctedBias(
  run: Run,
  { layer, bias, decoded }: { readonly layer: TensorSpec; readonly bias: TensorSpec; readonly decoded: Rows },
  means: NonNullable<Moments['means']>,
): Promise<Float32Array> {
  const [rows, cols] = matrixShape(layer);
  const weight = { rows, cols, data: await run.original(layer)(0, rows) };
  const before = await run.original(bias)(0, matrixShape(bias)[0]);
  return run.correction.bias(weight, await decoded(0, rows), before, means);
}
