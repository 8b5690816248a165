import { dequantize } from '../../grid/gguf/dequantize.js';
import type { Encoded } from '../../grid/grid.js';
import type { Arena } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import type { SolverContext } from '../solver.js';

/** Columns of H·Z in the kernels' memory at a time. */
const blockSize = 512;
/** Relative determinant below which scale and offset cannot be told apart. */
const singular = 1e-6;

/** H, row-major, and what counts as added to its diagonal. */
export interface DampedMoment {
  readonly hessian: Float32Array;
  readonly damping: number;
}

/** Per row: the normal equations for the change of scale and offset that minimises the loss with codes held. */
interface Equations {
  /** zᵀHz and zᵀHe of the levels z and ones e. */
  readonly scale: Float64Array;
  readonly mixed: Float64Array;
  /** eᵀHe, the same for all rows. */
  readonly offset: number;
  /** zᵀHΔᵀ and eᵀHΔᵀ. */
  readonly pullScale: Float64Array;
  readonly pullOffset: Float64Array;
}

/**
 * Refits one scale (and offset) per row by least squares under the full H, codes held, rounded to halves and kept
 * where the loss falls; brings `values` up to date.
 * @param delta Δ = W − Ŵ, cols × stride
 * @param gained per row: by how much the loss fell is added
 * @returns how many rows changed
 */
export async function refitRows(
  context: SolverContext,
  weight: Panel,
  moment: DampedMoment,
  encoded: Encoded,
  delta: Float32Array,
  gained: Float64Array,
): Promise<number> {
  const { kernels } = context;
  const { rows, stride } = weight;
  const { grid, codes, parameters, values } = encoded;
  const { scale, offset } = parameters;
  if (!codes) return 0;
  return kernels.scope(async (arena) => {
    const equations = await normalEquations(context, arena, weight, moment, encoded, delta);
    const storage = grid.scale;
    if (storage?.kind !== 'direct') throw new Error(`${grid.name} has no scale of its own for a row`);
    const affine = storage.offset;
    const [newScale, newOffset] = [arena.f32(stride), arena.f32(stride)];
    for (let row = 0; row < rows; row++) newScale[row] = (scale[row] ?? 0) + solve(equations, row, affine);
    roundToHalves(context, arena, newScale);
    for (let row = 0; row < rows; row++) {
      const change = (newScale[row] ?? 0) - (scale[row] ?? 0);
      const pull = (equations.pullOffset[row] ?? 0) - (equations.mixed[row] ?? 0) * change;
      newOffset[row] = (offset[row] ?? 0) + (equations.offset > 0 ? pull / equations.offset : 0);
    }
    if (storage.zeroPoint !== undefined) roundToPoints(newScale, newOffset, storage);
    else roundToHalves(context, arena, newOffset);
    let changed = 0;
    for (let row = 0; row < rows; row++) {
      const s = (newScale[row] ?? 0) - (scale[row] ?? 0);
      const o = affine ? (newOffset[row] ?? 0) - (offset[row] ?? 0) : 0;
      const fall = decrease(equations, row, s, o);
      if (!(fall > 0)) continue;
      scale[row] = newScale[row] ?? 0;
      if (affine) offset[row] = newOffset[row] ?? 0;
      gained[row] = (gained[row] ?? 0) + fall;
      changed++;
    }
    if (changed > 0) await dequantize(kernels, grid, codes, parameters, weight, values);
    return changed;
  });
}

/** The best change of the scale, the offset following if there is one. */
function solve(
  { scale, mixed, offset, pullScale, pullOffset }: Equations,
  row: number,
  affine = false,
): number {
  const [a, b, p] = [scale[row] ?? 0, mixed[row] ?? 0, pullScale[row] ?? 0];
  if (!(a > 0)) return 0;
  if (!affine) return p / a;
  const determinant = a * offset - b * b;
  return determinant > singular * a * offset ? (p * offset - (pullOffset[row] ?? 0) * b) / determinant : 0;
}

/** By how much the loss falls when scale and offset change by s and o. */
function decrease(equations: Equations, row: number, s: number, o: number): number {
  const { scale, mixed, offset, pullScale, pullOffset } = equations;
  const linear = s * (pullScale[row] ?? 0) + o * (pullOffset[row] ?? 0);
  const quadratic = s * s * (scale[row] ?? 0) + 2 * s * o * (mixed[row] ?? 0) + o * o * offset;
  return 2 * linear - quadratic;
}

async function normalEquations(
  { kernels, gemm }: SolverContext,
  arena: Arena,
  { cols, stride }: Panel,
  { hessian, damping }: DampedMoment,
  { grid, codes, parameters }: Encoded,
  delta: Float32Array,
): Promise<Equations> {
  const levels = arena.f32(cols * stride);
  const unit = { ...parameters, scale: arena.f32(stride).fill(1), offset: arena.f32(stride) };
  if (codes) await dequantize(kernels, grid, codes, unit, { stride, cols }, levels);
  const square = { data: hessian, shape: [cols, cols] };
  const products = await gemm(square, { data: levels.slice(), shape: [cols, stride] });
  const sums = await gemm(square, { data: new Float32Array(cols).fill(1), shape: [cols, 1] });
  const width = Math.min(blockSize, cols);
  const [product, own, ones] = [
    arena.f32(width * stride),
    arena.f32(width * stride),
    arena.f32(width * stride),
  ];
  ones.fill(1);
  const equations = {
    scale: arena.f64(stride),
    mixed: arena.f64(stride),
    offset: sums.reduce((sum, value) => sum + value + damping, 0),
    pullScale: arena.f64(stride),
    pullOffset: arena.f64(stride),
  };
  for (let from = 0; from < cols; from += width) {
    const count = Math.min(width, cols - from);
    const range = [from * stride, (from + count) * stride] as const;
    const z = levels.subarray(...range);
    product.set(products.subarray(...range));
    kernels.parallel('axpy', count * stride, { a: damping, x: z, y: product });
    own.set(delta.subarray(...range));
    const add = (x: Float32Array, y: Float32Array, into: Float64Array) =>
      kernels.parallel('addRowProducts', stride, { cols: count, stride, x, y, sums: into });
    add(z, product, equations.scale);
    add(ones, product, equations.mixed);
    add(own, product, equations.pullScale);
    for (let j = 0; j < count; j++)
      product.fill((sums[from + j] ?? 0) + damping, j * stride, (j + 1) * stride);
    add(own, product, equations.pullOffset);
  }
  return equations;
}

function roundToHalves({ kernels }: SolverContext, arena: Arena, values: Float32Array): void {
  const halves = arena.u16(values.length);
  kernels.parallel('castToF16', values.length, { from: values, to: halves });
  kernels.parallel('convertF16', values.length, { from: halves, to: values });
}

/** Offsets as −scale · z with whole zero points z. */
function roundToPoints(
  scale: Float32Array,
  offset: Float32Array,
  { zeroPoint = 0, lowestZeroPoint = 0 }: { readonly zeroPoint?: number; readonly lowestZeroPoint?: number },
): void {
  for (const [row, s] of scale.entries()) {
    const point = s === 0 ? 0 : Math.round(-(offset[row] ?? 0) / s);
    offset[row] = -s * Math.min(zeroPoint, Math.max(lowestZeroPoint, point));
  }
}
