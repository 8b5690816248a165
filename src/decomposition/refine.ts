import type { Encoded, Grid, Panel } from '../grid/grid.js';
import { addRefinement, encodeRefinement, refinementGrid } from '../grid/refinement.js';
import type { Arena, Kernels } from '../kernels/kernels.js';
import { toPanel } from '../kernels/panel.js';
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

/** Finds integers of small loss on a grid; arrays of the result live in the arena. */
export type Round = (arena: Arena, weight: Panel, grid: Grid) => Promise<Encoded>;

/**
 * A weight as a sum of refinements Σ_p s_p Q_p, s_p = s₀ / 3ᵖ, each found for what those before it leave:
 *
 *   Q_p ≈ argmin tr(Δ H Δᵀ),   Δ = R_p − s_p Q_p,   R_{p+1} = Δ,   R₀ = W,
 *
 * so that every prefix of the sum is a good weight, in the manner of BitStack (Wang et al., 2024, arXiv:2410.23918),
 * whose residuals are signs times low-rank magnitudes. Uniform steps with entropy coding take their place here, because
 * successive refinement loses least with them: a normal variable is successively refinable (Equitz and Cover, 1991),
 * and at equal bytes the loss is a fraction of that of sign planes (docs/results.md).
 *
 * One step serves all rows and columns: with entropy coding, equal errors everywhere are the best there is (reverse
 * water-filling; Cover and Thomas, theorem 10.3.3).
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
  const { refinements, sliceElements } = { ...refineDefaults, ...options };
  const { rows, cols } = weight;
  const perSlice = Math.max(1, Math.round(sliceElements / cols));
  // Rows do not depend on each other: large tables pass through the kernels' memory in parts.
  const perSlab = Math.max(1, Math.floor(slabElements / cols / perSlice)) * perSlice;
  const part = ({ data }: Pick<Matrix, 'data'>, from: number, to: number): Matrix => ({
    rows: to - from,
    cols,
    data: data.subarray(from * cols, to * cols),
  });
  const unit = (await usualSize(kernels, part(weight, 0, Math.min(rows, perSlab)))) || 1;
  const whole = { rows, cols, data: new Float32Array(rows * cols) };
  for (let index = 0; index < refinements; index++) {
    // Through f32, in which decoders multiply.
    const step = Math.fround((firstStep * unit) / divisor ** index);
    const slices: RefinedRows[] = [];
    for (let first = 0; first < rows; first += perSlab) {
      const last = Math.min(rows, first + perSlab);
      await kernels.scope(async (arena) => {
        const rest = await residual(kernels, arena, part(weight, first, last), part(whole, first, last));
        const encoded = await round(arena, rest, refinementGrid(step));
        for (let from = first; from < last; from += perSlice) {
          const to = Math.min(last, from + perSlice);
          const bytes = await encodeRefinement(kernels, encoded, from - first, to - first);
          // As a reader will, so that the next refinement sees what it sees.
          await addRefinement(kernels, bytes, step, cols, part(whole, from, to).data);
          slices.push({ from, to, bytes });
        }
      });
    }
    await use({ step, slices, values: whole.data }, index);
  }
}

/** W − Ŵ as a panel. */
async function residual(kernels: Kernels, arena: Arena, weight: Matrix, values: Matrix): Promise<Panel> {
  const panel = await toPanel(kernels, arena, weight);
  const { cols } = weight;
  await kernels.scope(async (inner) => {
    const known = await toPanel(kernels, inner, values);
    kernels.parallel('subtractPanels', panel.stride, cols, panel.stride, panel.data, known.data, panel.data);
  });
  return panel;
}

/** The root mean square of the row in the middle, which a few loud rows do not change. */
function usualSize(kernels: Kernels, { rows, cols, data }: Matrix): Promise<number> {
  return kernels.scope(async (arena) => {
    const { stride, data: panel } = await toPanel(kernels, arena, { rows, cols, data });
    const sums = arena.f64(stride);
    kernels.parallel('addRowProducts', stride, cols, stride, panel, panel, sums);
    const sorted = sums.slice(0, rows).sort();
    return Math.sqrt((sorted[rows >> 1] ?? 0) / cols);
  });
}
