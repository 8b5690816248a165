import type { Encoded } from '../../grid/grid.js';
import type { Gemm } from '../../runtime/gemm.js';
import type { HeldOutInputs, Matrix } from '../../types.js';

/** Outputs of all tokens and rows together, at most: of many rows few tokens are enough. */
const mostOutputs = 1 << 22;
/** Arrays of so many floats that exist at once. */
export const judgingFloats = 3 * mostOutputs;

/** How well some rows of a weight do on tokens that they were not fitted to. */
export interface Judgement {
  /** ‖Y_r − X̃ ŵ_r‖² of every row, Y the outputs that the layer is to have. */
  readonly losses: Float64Array;
  /** ε = ‖X̃ (T − Ŵ)ᵀ‖² / ‖X̃ Tᵀ‖², T the target that was solved for; 0 where all outputs are zero. */
  readonly relativeError: number;
}

/** @param rows which rows of the weight these are; by default all of them */
export type Judge = (
  solved: Pick<Encoded, 'values' | 'stride'>,
  rows?: readonly number[],
) => Promise<Judgement>;

/**
 * @param heldOut X̃, tokens × cols, and X of the same tokens in the original model, where its outputs are to be matched
 * @param target T, rows × cols
 * @param original W, where T is another: Y = X Wᵀ, otherwise Y = X̃ Tᵀ
 */
export async function createJudge(
  gemm: Gemm,
  heldOut: HeldOutInputs,
  target: Matrix,
  original?: Matrix,
): Promise<Judge> {
  const { rows, cols } = target;
  const tokens = Math.max(1, Math.floor(mostOutputs / rows));
  const own = everySo(heldOut.own, tokens);
  const count = own.length / cols;
  const outputs = (inputs: Float32Array, { data }: Matrix) =>
    gemm({ data: inputs, shape: [count, cols] }, { data, shape: [rows, cols] }, { transposeB: true });
  const aimed = await outputs(own, target);
  const wanted = original ? await outputs(everySo(heldOut.original ?? heldOut.own, tokens), original) : aimed;
  const every = Array.from({ length: rows }, (_, row) => row);
  return async ({ values, stride }, chosen = every) => {
    // onnxruntime does not read the kernels' memory.
    const columns = { data: values.slice(), shape: [cols, stride] };
    const found = await gemm({ data: own, shape: [count, cols] }, columns);
    const losses = new Float64Array(chosen.length);
    let [error, energy] = [0, 0];
    for (let token = 0; token < count; token++)
      for (const [row, source] of chosen.entries()) {
        const at = token * rows + source;
        const output = found[token * stride + row] ?? 0;
        losses[row] = (losses[row] ?? 0) + ((wanted[at] ?? 0) - output) ** 2;
        error += ((aimed[at] ?? 0) - output) ** 2;
        energy += (aimed[at] ?? 0) ** 2;
      }
    return { losses, relativeError: energy > 0 ? error / energy : 0 };
  };
}

/** At most so many of a matrix' rows, at equal distances. */
function everySo({ rows, cols, data }: Matrix, most: number): Float32Array {
  const step = Math.ceil(rows / most);
  if (step === 1) return data;
  const taken = new Float32Array(Math.ceil(rows / step) * cols);
  for (let row = 0, to = 0; row < rows; row += step, to += cols)
    taken.set(data.subarray(row * cols, (row + 1) * cols), to);
  return taken;
}
