import { decodeCells } from '../../grid/vector/format.js';
import type { Arena } from '../../kernels/kernels.js';
import { total } from '../layer-error.js';
import type { VectorLayer } from './layer.js';

/** Δ = W − Ŵ and Δ·H as panels by position in the kernels' memory, and the loss of every row. */
export interface Residual {
  readonly values: Float32Array;
  readonly deltas: Float32Array;
  readonly gradient: Float32Array;
  readonly losses: Float64Array;
  readonly loss: number;
}

/** Room for a residual, to be filled again and again. */
export function residualSpace(arena: Arena, { weight: { cols, stride } }: VectorLayer): Residual {
  const panel = () => arena.f32(cols * stride);
  return { values: panel(), deltas: panel(), gradient: panel(), losses: arena.f64(stride), loss: 0 };
}

/** Fills a residual from the codes as they are now. */
export async function measure(layer: VectorLayer, space: Residual): Promise<Residual> {
  const { kernels } = layer.context;
  const { rows, cols, stride, data } = layer.weight;
  const { values, deltas, gradient, losses } = space;
  decodeCells(kernels, layer.cells, layer.scale, values);
  kernels.parallel('subtractPanels', stride, { cols, stride, x: data, y: values, difference: deltas });
  await multiply(layer, deltas, gradient);
  rowProducts(layer, deltas, gradient, losses);
  return { ...space, loss: total(losses, rows) };
}

/** into = x·H, panels by position in the kernels' memory. */
export async function multiply(layer: VectorLayer, x: Float32Array, into: Float32Array): Promise<void> {
  const { stride } = layer.weight;
  for await (const { first, data } of products(layer, x.slice())) into.set(data, first * stride);
}

/** sums[row] = Σ x · y over all columns. */
export function rowProducts(
  { context: { kernels }, weight: { cols, stride } }: VectorLayer,
  x: Float32Array,
  y: Float32Array,
  sums: Float64Array,
): void {
  kernels.parallel('addRowProducts', stride, { cols, stride, x, y, sums: sums.fill(0) });
}

/** X·H by blocks of columns; X is a panel by position outside the kernels' memory, as are the products. */
export async function* products(
  { context: { gemm }, weight: { stride }, moment: { size, blockSize, columns } }: VectorLayer,
  x: Float32Array,
): AsyncGenerator<{ first: number; width: number; data: Float32Array }> {
  for (const [b, column] of columns.entries()) {
    const first = b * blockSize;
    const width = Math.min(blockSize, size - first);
    const data = await gemm(
      { data: column, shape: [size, width] },
      { data: x, shape: [size, stride] },
      { transposeA: true },
    );
    yield { first, width, data };
  }
}
