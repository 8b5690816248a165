import type { Encoded } from '../../grid/grid.js';
import { levelRecord } from '../../grid/levels.js';
import type { Arena } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { Matrix } from '../../types.js';
import { meanDiagonal } from '../cholesky.js';
import { gatherSquare, wellScaled } from '../descent/sweeps.js';
import { total } from '../layer-error.js';
import type { SolverContext } from '../solver.js';

/** A layer whose codes and outliers are being chosen. All arrays in the kernels' memory. */
export interface SparseLayer {
  readonly weight: Panel;
  readonly gram: Matrix;
  /** On the grid of the codes; values without outliers. */
  readonly encoded: Encoded;
  /** cols × stride: the outliers. */
  readonly outliers: Float32Array;
  /** cols × stride bytes, 1 where outliers may be. */
  readonly marks: Uint8Array;
}

interface ValueOptions {
  /** Added to the diagonal of H, in units of its mean. */
  readonly damping: number;
  readonly passes: number;
  /** Outliers of a row and block that may change places in one pass. */
  readonly exchanges: number;
  readonly blockSize: number;
}

/**
 * Returns a function that improves the outliers, codes and scales held, by coordinate descent under the full H, and lets
 * rows exchange some of them for other columns of the same block, where they win more than codes lose (the hard
 * thresholding of QuantEase, one by one and by exact loss). It returns by how much the loss fell; it never rises.
 */
export function prepareOutliers(
  { kernels, gemm }: SolverContext,
  arena: Arena,
  { weight, gram, encoded, outliers, marks }: SparseLayer,
  options: ValueOptions,
): () => Promise<number> {
  const { rows, cols, stride } = weight;
  const { grid, codes, values, parameters } = encoded;
  if (!codes) throw new Error('outliers stand beside codes');
  const together = Number.isFinite(grid.groupSize) ? grid.blockSize : 1;
  const blockSize = Math.ceil(Math.min(options.blockSize, cols) / together) * together;
  const groupSize = Math.min(grid.groupSize, cols);
  const { hessian, unit } = wellScaled(gram);
  const damping = (options.damping * meanDiagonal(gram)) / unit;
  const levels = levelRecord(arena, grid, parameters);
  const deltas = arena.f32(cols * stride);
  const product = arena.f32(blockSize * stride);
  const square = arena.f32(blockSize ** 2);
  const room = kernels.call('outlierScratch', { width: blockSize });
  const scratch = arena.scratch(Math.ceil(stride / 16) * room);
  const gained = arena.f64(stride);
  const known = { data: new Float32Array(cols * stride), shape: [cols, stride] };
  return async () => {
    gained.fill(0);
    kernels.parallel('subtractPanels', stride, {
      cols,
      stride,
      x: weight.data,
      y: values,
      difference: deltas,
    });
    kernels.parallel('axpy', deltas.length, { a: -1, x: outliers, y: deltas });
    known.data.set(deltas);
    for (let from = 0; from < cols; from += blockSize) {
      const width = Math.min(blockSize, cols - from);
      const at = from * stride;
      const rowsOfH = { data: hessian.subarray(from * cols, (from + width) * cols), shape: [width, cols] };
      product.set(await gemm(rowsOfH, known));
      gatherSquare(hessian, cols, from, width, damping, square);
      const group = Math.floor(from / groupSize) * stride;
      const own = deltas.subarray(at, at + width * stride);
      kernels.parallel('descendOutliers', stride, {
        stride,
        product,
        hessian: square,
        width,
        groupSize,
        scale: parameters.scale.subarray(group),
        offset: parameters.offset.subarray(group),
        levels,
        passes: options.passes,
        exchanges: options.exchanges,
        damping,
        codes: codes.subarray(at),
        values: values.subarray(at),
        outliers: outliers.subarray(at),
        marks: marks.subarray(at),
        deltas: own,
        gains: gained,
        scratch,
      });
      known.data.set(own, at);
    }
    return total(gained, rows) * unit;
  };
}
