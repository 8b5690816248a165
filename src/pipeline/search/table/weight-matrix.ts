import { matrixShape, type TensorSpec } from '../../../architecture/architecture.js';
import type { Matrix } from '../../../types.js';

/** Values of a tensor as the matrix that statistics are taken of. */
export function weightMatrix(spec: TensorSpec, data: Float32Array): Matrix {
  const [rows, cols] = matrixShape(spec);
  return { rows, cols, data };
}
