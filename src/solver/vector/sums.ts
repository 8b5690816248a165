import type { VectorStage } from '../../grid/vector/format.js';
import type { VectorLayer } from './layer.js';

/** Sums over the vectors of every entry, shaped like the codebooks. */
export interface EntrySums {
  readonly gradient: Float64Array;
  /** Σ r² per entry; zero between cells. */
  readonly weights: Float64Array;
  /** Σ r²·M per entry, d × d. */
  readonly curvature: Float64Array;
  readonly metric: Float32Array;
}

export function entrySums({ context: { arena }, codebooks, dimension: d }: VectorLayer): EntrySums {
  return {
    gradient: arena.f64(codebooks.length),
    weights: arena.f64(codebooks.length / d),
    curvature: arena.f64(codebooks.length * d),
    metric: arena.f32(d * d),
  };
}

export function clear({ gradient, curvature }: EntrySums, both = true): void {
  gradient.fill(0);
  if (both) curvature.fill(0);
}

/**
 * Adds r·panel (times `product`, if given) to the gradient of every entry that a stage uses, r²·curvature to theirs.
 * @param panel the vector's columns, from its start
 */
export function addCell(
  layer: VectorLayer,
  sums: EntrySums,
  { size, entries, codes }: VectorStage,
  panel: Float32Array,
  { product, curvature }: { readonly product?: Float32Array; readonly curvature?: Float32Array },
): void {
  const { context, weight, scale, dimension: d } = layer;
  const { kernels } = context;
  const from = offsetOf(layer, entries);
  const weights = sums.weights.subarray(from / d);
  if (product) sums.metric.set(product);
  kernels.call('addByCode', {
    rows: weight.rows,
    stride: weight.stride,
    d,
    first: panel,
    metric: product && sums.metric,
    scale,
    codes,
    gradient: sums.gradient.subarray(from),
    weights: curvature && weights,
  });
  if (!curvature) return;
  sums.metric.set(curvature);
  const own = sums.curvature.subarray(from * d);
  kernels.call('addCurvature', { size, d, weights, metric: sums.metric, curvature: own });
}

/** x = curvature⁻¹ · gradient for every entry; the curvature is replaced by its factor unless it is one already. */
export function solveEntries(
  { context: { kernels }, codebooks, dimension: d }: VectorLayer,
  { curvature, gradient }: EntrySums,
  x: Float64Array,
  factored: boolean,
): void {
  kernels.parallel('solveByCode', codebooks.length / d, { d, curvature, factored, gradient, x });
}

/** Where a codebook starts among all. */
export const offsetOf = ({ codebooks }: VectorLayer, entries: Float32Array) =>
  (entries.byteOffset - codebooks.byteOffset) / entries.BYTES_PER_ELEMENT;
