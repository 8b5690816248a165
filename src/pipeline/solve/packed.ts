import { matrixShape } from '../../architecture/architecture.js';
import { decodeRows } from '../../checkpoint/decode.js';
import { memoryFile } from '../../checkpoint/file.js';
import type { Kernels } from '../../kernels/kernels.js';
import type { Assignment } from '../prepare/plan.js';

/** A tensor as it is stored. */
export interface Packed {
  /** Packed rows. */
  readonly bytes: Uint8Array;
  readonly relativeError: number;
  /** Whether rows were rounded to nearest, because what the solver found does worse on tokens that are held out. */
  readonly rounded?: true;
}

/** Values of rows [from, to) as the runtime will decode them, in the programs' shape and order. */
export function unpackTensor(
  kernels: Kernels,
  { spec, grid }: Pick<Assignment, 'spec' | 'grid'>,
  bytes: Uint8Array,
  from = 0,
  to = matrixShape(spec)[0],
): Promise<Float32Array> {
  const shape = matrixShape(spec);
  const file = memoryFile(spec.names.gguf, bytes);
  const stored = {
    name: spec.names.gguf,
    type: grid.name,
    grid,
    shape,
    bytes: bytes.length,
    file,
    offset: 0,
  };
  return decodeRows(kernels, stored, from, to);
}
