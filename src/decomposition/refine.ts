import type { Encoded, Grid } from '../grid/grid.js';
import { addRefinement, columnSteps, encodeRefinement, refinementGrid } from '../grid/tersor/refinement.js';
import type { Arena, Kernels } from '../kernels/kernels.js';
import { type Panel, toPanel } from '../kernels/panel.js';
import type { Matrix } from '../types.js';

/**
 * How much finer each refinement is than the one before. What is left of uniform rounding lies evenly in one step
 * around zero; an odd divisor cuts that into whole cells, and three is the smallest.
 */
const divisor = 3;
/** The coarsest step, in units of the root mean square of a usual row: about 1.7 bits a weight. */
const firstStep = 1.4;

/** Weights that are worked on at a time. */
const slabElements = 1 << 25;

export interface RefineOptions {
  /** How many refinements: each takes about two bits a weight and leaves a ninth of the loss. */
  readonly refinements: number;
  /** Weights of a slice, about; its rows can be read without those of others. */
  readonly sliceElements: number;
  /** Codes of factors on the steps of columns (`columnFactors`). */
  readonly columns?: Int8Array | undefined;
}

export const refineDefaults: RefineOptions = { refinements: 4, sliceElements: 1 << 15 };

/** Some rows of one refinement. */
export interface RefinedRows {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
}

export interface Refinement {
  readonly step: number;
  readonly slices: readonly RefinedRows[];
  /** The weight as it is with this refinement, row-major; valid until the next one. */
  readonly values: Float32Array;
}

/**
 * Finds integers of small loss on a grid, for a weight whose columns are divided by their factors; arrays of the result
 * live in the arena.
 */
export type Round = (arena: Arena, weight: Panel, grid: Grid) => Promise<Encoded>;

/**
 * A weight as a sum of refinements Σ_p s_p Q_p, s_p = s₀ / 3ᵖ, each found for what those before it leave:
 *
 *   Q_p ≈ argmin tr(Δ H Δᵀ),   Δ = R_p − s_p Q_p,   R_{p+1} = Δ,   R₀ = W,
 *
 * so that every prefix of the sum is a good weight, in the manner of BitStack (Wang et al., 2024, arXiv:2410.23918),
 * whose residuals are signs times low-rank magnitudes. Uniform steps with entropy coding take their place here, because
 * successive refinement loses least with them: a normal variable is successively refinable (Equitz and Cover, 1991),
 * and at equal bytes the loss is a fraction of that of sign planes (docs/results/sizes.md).
 *
 * One step serves all rows: with entropy coding, equal errors everywhere are the best there is (reverse water-filling;
 * Cover and Thomas, theorem 10.3.3). Columns whose errors cost more have smaller ones, by `columns`.
 * @param round the solver, under the moments of the layer
 * @param use gets the refinements from the coarsest to the finest
 */
export async function refine(
  kernels: Kernels,
  weight: Matrix,
  round: Round,
  use: (refinement: Refinement, index: number) => Promise<void>,
  options: Partial<RefineOptions> = {},
): Promise<void> {
  const { refinements, sliceElements, columns } = { ...refineDefaults, ...options };
  const { rows, cols } = weight;
  const perSlice = Math.max(1, Math.round(sliceElements / cols));
  // Rows do not depend on each other: large tables pass through the kernels' memory in parts.
  const perSlab = Math.max(1, Math.floor(slabElements / cols / perSlice)) * perSlice;
  const part = ({ data }: Pick<Matrix, 'data'>, from: number, to: number): Matrix => ({
    rows: to - from,
    cols,
    data: data.subarray(from * cols, to * cols),
  });
  const inverse = columnSteps(1, cols, columns).map((factor) => 1 / factor);
  const unit = (await usualSize(kernels, part(weight, 0, Math.min(rows, perSlab)), inverse)) || 1;
  const whole = { rows, cols, data: new Float32Array(rows * cols) };
  for (let index = 0; index < refinements; index++) {
    // Through f32, in which decoders multiply.
    const step = Math.fround((firstStep * unit) / divisor ** index);
    const steps = columnSteps(step, cols, columns);
    const slices: RefinedRows[] = [];
    for (let first = 0; first < rows; first += perSlab) {
      const last = Math.min(rows, first + perSlab);
      await kernels.scope(async (arena) => {
        const rest = await residual(
          kernels,
          arena,
          part(weight, first, last),
          part(whole, first, last),
          inverse,
        );
        const encoded = await round(arena, rest, refinementGrid(step));
        for (let from = first; from < last; from += perSlice) {
          const to = Math.min(last, from + perSlice);
          const bytes = await encodeRefinement(kernels, encoded, from - first, to - first);
          // As a reader will, so that the next refinement sees what it sees.
          await addRefinement(kernels, bytes, steps, part(whole, from, to).data);
          slices.push({ from, to, bytes });
        }
      });
    }
    await use({ step, slices, values: whole.data }, index);
  }
}

/** W − Ŵ as a panel, its columns divided by their factors. */
async function residual(
  kernels: Kernels,
  arena: Arena,
  weight: Matrix,
  values: Matrix,
  inverse: Float32Array,
): Promise<Panel> {
  const panel = await toPanel(kernels, arena, weight);
  const { cols } = weight;
  await kernels.scope(async (inner) => {
    const known = await toPanel(kernels, inner, values);
    const { stride, data } = panel;
    kernels.parallel('subtractPanels', stride, { cols, stride, x: data, y: known.data, difference: data });
    scale(kernels, inner, panel, inverse);
  });
  return panel;
}

function scale(kernels: Kernels, arena: Arena, { stride, cols, data }: Panel, factors: Float32Array): void {
  const inside = arena.f32(cols);
  inside.set(factors);
  kernels.parallel('scaleColumns', stride, { cols, stride, factors: inside, data });
}

/** The root mean square of the row in the middle, which a few large rows do not change. */
function usualSize(kernels: Kernels, weight: Matrix, inverse: Float32Array): Promise<number> {
  const { rows, cols } = weight;
  return kernels.scope(async (arena) => {
    const panel = await toPanel(kernels, arena, weight);
    scale(kernels, arena, panel, inverse);
    const { stride, data } = panel;
    const sums = arena.f64(stride);
    kernels.parallel('addRowProducts', stride, { cols, stride, x: data, y: data, sums });
    const sorted = sums.slice(0, rows).sort();
    return Math.sqrt((sorted[rows >> 1] ?? 0) / cols);
  });
}
