import { spreadImportance } from '../../grid/fit/arguments.js';
import { roundingErrors } from '../../grid/fit/rounding-errors.js';
import type { Grid } from '../../grid/grid.js';
import { roundPanel } from '../../grid/round.js';
import type { OutlierGrid } from '../../grid/tersor/outliers.js';
import type { Arena } from '../../kernels/kernels.js';
import type { Panel } from '../../kernels/panel.js';
import { total } from '../layer-error.js';
import type { SolverContext } from '../solver.js';

/** Numbers of outliers of a group that are weighed up: these, or where groups have more, in units of their mean. */
const few = [0, 1, 2, 3, 4];
const shares = [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3];
/** Fits of a group without its outliers, each followed by choosing them anew by their rounding errors. */
const concentrations = 2;
/** Steps in which the price of an outlier is found. */
const bisections = 60;

/**
 * Where outliers are worth most before anything is rounded: a byte per weight (cols × stride), 1 for an outlier. For
 * every group the grid is fitted without its worst 0, 1, 2 … weights (least trimmed squares, Rousseeuw, 1984: fit and
 * choice in turns), and groups get so many that the sum of Σ importance · (w − ŵ)² is least.
 */
export async function chooseOutliers(
  context: SolverContext,
  arena: Arena,
  weight: Panel,
  importance: Float32Array,
  { base, room }: OutlierGrid,
): Promise<Uint8Array> {
  const { kernels } = context;
  const { rows, cols, stride } = weight;
  const marks = arena.u8(cols * stride);
  await kernels.scope(async (inner) => {
    const groupSize = Math.min(base.groupSize, cols);
    const groups = cols / groupSize;
    const numbers = numbersOf(room(rows, cols) / rows / groups, groupSize);
    const choices = numbers.length;
    const counts = inner.i32(choices);
    counts.set(numbers);
    const errors = inner.f64(groups * choices * stride);
    for (let group = 0; group < groups; group++) {
      const from = group * groupSize;
      const columns = { ...weight, cols: groupSize, data: weight.data.subarray(from * stride) };
      const own = importance.subarray(from, from + groupSize);
      // Errors of a group come relative to the mean of its importances.
      const unit = own.reduce((sum, value) => sum + value, 0) / groupSize;
      for (const [k, count] of numbers.entries()) {
        const trim = { count, bit: 1 << k, marks: marks.subarray(from * stride) };
        const result = await trimmed(context, columns, own, base, trim);
        errors.set(
          result.map((error) => error * unit),
          (group * choices + k) * stride,
        );
      }
    }
    const chosen = inner.u8(groups * stride);
    const totals = inner.f64(stride);
    const used = (price: number) => {
      kernels.parallel('chooseTrims', stride, {
        stride,
        groups,
        choices,
        errors,
        counts,
        price,
        chosen,
        totals,
      });
      return total(totals, rows);
    };
    findPrice(used, room(rows, cols));
    kernels.parallel('takeTrims', stride, { stride, cols, groupSize, chosen, marks });
  });
  return marks;
}

/** Different numbers of outliers, ascending from 0, for groups that have so many on average. */
function numbersOf(mean: number, groupSize: number): number[] {
  const numbers = mean < 2 ? few : shares.map((share) => Math.round(share * mean));
  return [...new Set(numbers.map((number) => Math.min(groupSize, number)))];
}

/** Fits a group without its worst weights; per row the errors of the others. Marks the worst. */
async function trimmed(
  { kernels }: SolverContext,
  group: Panel,
  importance: Float32Array,
  base: Grid,
  { count, bit, marks }: { readonly count: number; readonly bit: number; readonly marks: Uint8Array },
): Promise<Float64Array> {
  return kernels.scope(async (arena) => {
    const { rows, cols, stride, data } = group;
    const parameters = base.allocate(arena, rows, cols);
    const rest = { ...group, data: arena.f32(cols * stride) };
    const fitted = { codes: arena.u8(cols * stride), values: arena.f32(cols * stride) };
    const vectors = spreadImportance(kernels, arena, importance, cols, cols);
    const trim = (values?: Float32Array) =>
      kernels.parallel('trimColumns', stride, {
        from: data,
        fitted: values,
        weights: vectors,
        stride,
        cols,
        count,
        bit,
        marks,
        rest: rest.data,
      });
    trim();
    for (let i = 0; i < (count > 0 ? concentrations : 1); i++) {
      if (i > 0) trim(fitted.values);
      await base.fit(kernels, rest, importance, parameters, 0);
      await roundPanel(kernels, group, base, parameters, fitted);
    }
    trim(fitted.values);
    return (await roundingErrors(kernels, arena, base, rest, importance, parameters)).slice();
  });
}

/** Finds the lowest price at which no more than `room` outliers are used, and leaves the choice made there. */
function findPrice(used: (price: number) => number, room: number): void {
  let [low, high] = [0, 1];
  if (used(low) <= room) return;
  while (used(high) > room) high *= 2;
  for (let i = 0; i < bisections; i++) {
    const middle = (low + high) / 2;
    if (used(middle) <= room) high = middle;
    else low = middle;
  }
  used(high);
}

/** The columns with the largest rounding errors, ascending, and marks for them: as chooseOutliers gives. */
export async function chooseColumns(
  { kernels }: SolverContext,
  arena: Arena,
  weight: Panel,
  importance: Float32Array,
  { base, room }: OutlierGrid,
): Promise<{ readonly columns: Uint16Array; readonly marks: Uint8Array }> {
  const { rows, cols, stride } = weight;
  const marks = arena.u8(cols * stride);
  return kernels.scope(async (inner) => {
    const parameters = base.allocate(inner, rows, cols);
    const values = inner.f32(cols * stride);
    await base.fit(kernels, weight, importance, parameters, 0);
    await roundPanel(kernels, weight, base, parameters, { codes: inner.u8(cols * stride), values });
    const scores = inner.f64(cols);
    kernels.parallel('columnLoss', cols, {
      rows,
      stride,
      x: weight.data,
      y: values,
      weights: importance,
      scores,
    });
    const worst = Array.from(scores.keys()).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
    const columns = Uint16Array.from(worst.slice(0, room(rows, cols)).sort((a, b) => a - b));
    for (const column of columns) marks.fill(1, column * stride, column * stride + rows);
    return { columns, marks };
  });
}
