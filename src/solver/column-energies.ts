import type { Matrix } from '../types.js';
import { factorDamped } from './cholesky.js';
import { pivotImportance } from './importance.js';
import { activationOrder } from './order.js';
import type { SolverContext } from './solver.js';

const damping = 0.05;
const blockSize = 256;

/** What a squared error of each column costs, between none and all of the others making up for it (`pivotImportance`). */
export function columnEnergies({ kernels, gemm }: SolverContext, gram: Matrix): Promise<Float32Array> {
  return kernels.scope(async (arena) => {
    const order = activationOrder(arena, gram);
    const factor = await factorDamped({ kernels, gemm }, gram, order, damping, blockSize);
    return pivotImportance(arena, gram, order, factor).slice();
  });
}
