import * as g from '../graph/build.js';
import { compile, type Program } from '../graph/program.js';
import { createRandom } from '../random.js';
import type { Gemm } from '../runtime/gemm.js';
import type { Dense, RuntimeOptions } from '../runtime/session.js';
import type { Matrix } from '../types.js';

export interface BitStackOptions {
  /** Singular vectors that a block keeps of the magnitudes; 16 in the paper. */
  readonly rank: number;
  readonly blocks: number;
  /** Rounds of subspace iteration. */
  readonly rounds: number;
}

export const bitStackDefaults: BitStackOptions = { rank: 16, blocks: 8, rounds: 6 };

/** Bits that a block takes for every weight: its sign, and its share of two factors of halves. */
export const bitStackBits = (rows: number, cols: number, rank: number): number =>
  1 + (16 * rank * (rows + cols)) / (rows * cols);

/**
 * BitStack (Wang et al., 2024, arXiv:2410.23918, sections 3.1 and 3.2): a weight with its columns scaled by the sizes of
 * their inputs, sᵢ = √Hᵢᵢ, as a sum of blocks of signs times magnitudes of low rank, each of what those before it leave:
 *
 *   R₀ = W diag(s),   R_{p+1} = R_p − sign(R_p) ∘ (U_p V_p),   U_p V_p ≈ |R_p| of the given rank,   Ŵ = Σ_p … diag(s)⁻¹.
 *
 * What `refine` is measured against (bench/stack.ts). Factors stay in single precision, which favours it a little.
 * @param scales one per column, above zero
 * @param use gets the weight after each block, row-major
 */
export async function bitStack(
  gemm: Gemm,
  { rows, cols, data }: Matrix,
  scales: Float32Array,
  use: (values: Float32Array, block: number) => Promise<void>,
  options: Partial<BitStackOptions> & RuntimeOptions = {},
): Promise<void> {
  const { rank: wanted, blocks, rounds } = { ...bitStackDefaults, ...options };
  const rank = Math.min(wanted, rows, cols);
  const programs = await Promise.all(
    [begin(rows, cols), peel(rows, cols), finish(rows, cols)].map((outputs) => compile(outputs, options)),
  );
  const [start, remove, values] = programs as [Program, Program, Program];
  const random = createRandom(1);
  const right = Float32Array.from({ length: cols * rank }, () => random.next() - 0.5);
  let state = await start.run({ weight: data, scales });
  for (let block = 0; block < blocks; block++) {
    const magnitude = { data: state.magnitude ?? data, shape: [rows, cols] };
    let vectors: Dense = { data: right, shape: [cols, rank] };
    let left: Dense = vectors;
    for (let round = 0; round < rounds; round++) {
      left = { data: await orthonormal(gemm, await gemm(magnitude, vectors), rank), shape: [rows, rank] };
      vectors = { data: await gemm(magnitude, left, { transposeA: true }), shape: [cols, rank] };
    }
    const product = await gemm(left, vectors, { transposeB: true });
    const rest = state.rest ?? data;
    state = await remove.run({ rest, product });
    const { y } = await values.run({ weight: data, rest: state.rest ?? rest, scales });
    await use(y ?? data, block);
  }
  for (const program of programs) await program.release();
}

type Value = ReturnType<typeof g.abs>;
const matrices = (rows: number, cols: number) => (name: string) => g.input(name, [rows, cols]);
const scalesOf = (cols: number) => g.input('scales', [cols]);

function begin(rows: number, cols: number): Record<string, Value> {
  const rest = g.mul(matrices(rows, cols)('weight'), scalesOf(cols));
  return { rest, magnitude: g.abs(rest) };
}

/** R − sign(R) ∘ P, the sign of zero being one. */
function peel(rows: number, cols: number): Record<string, Value> {
  const [rest, product] = [matrices(rows, cols)('rest'), matrices(rows, cols)('product')];
  const positive = g.toFloat(g.equal(g.abs(rest), rest));
  const sign = g.sub(g.mul(positive, g.scalar(2)), g.scalar(1));
  const next = g.sub(rest, g.mul(sign, product));
  return { rest: next, magnitude: g.abs(next) };
}

function finish(rows: number, cols: number): Record<string, Value> {
  const [weight, rest] = [matrices(rows, cols)('weight'), matrices(rows, cols)('rest')];
  return { y: g.sub(weight, g.div(rest, scalesOf(cols))) };
}

/** The columns of Y, length × rank, made orthonormal: Y L⁻ᵀ for the Cholesky factor L of YᵀY. */
async function orthonormal(gemm: Gemm, data: Float32Array, rank: number): Promise<Float32Array> {
  const y = { data, shape: [data.length / rank, rank] };
  const inverse = invertedFactor(await gemm(y, y, { transposeA: true }), rank);
  return gemm(y, { data: inverse, shape: [rank, rank] }, { transposeB: true });
}

/** L⁻¹ of a small positive definite matrix; directions of nothing become zero. */
function invertedFactor(square: Float32Array, size: number): Float32Array {
  const factor = Float64Array.from(square);
  const at = (row: number, col: number) => factor[row * size + col] ?? 0;
  const floor = 1e-12 * Math.max(...square);
  for (let j = 0; j < size; j++) {
    for (let i = j; i < size; i++) {
      let sum = at(i, j);
      for (let k = 0; k < j; k++) sum -= at(i, k) * at(j, k);
      const pivot = i === j ? Math.sqrt(Math.max(sum, 0)) : at(j, j);
      factor[i * size + j] = i === j ? (sum > floor ? pivot : 0) : pivot > 0 ? sum / pivot : 0;
    }
  }
  const inverse = new Float32Array(size * size);
  for (let j = 0; j < size; j++) {
    for (let i = j; i < size; i++) {
      if (at(i, i) === 0) continue;
      let sum = i === j ? 1 : 0;
      for (let k = j; k < i; k++) sum -= at(i, k) * (inverse[k * size + j] ?? 0);
      inverse[i * size + j] = sum / at(i, i);
    }
  }
  return inverse;
}
