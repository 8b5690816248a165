import { dot, factorize, solve } from './linear.js';
import type { Choice, Level } from './table.js';

/** What a level adds to the objective, by tensor and level: an additive model of what was measured. */
export type Additive = readonly Float64Array[];

/** The model's value of an allocation. */
export function additiveValue(model: Additive, levels: readonly number[]): number {
  return levels.reduce((sum, level, tensor) => sum + (model[tensor]?.[level] ?? 0), 0);
}

/** What a level is first taken to contribute: its loss, its size, or as much as any other. */
const columns: readonly ((level: Level) => number)[] = [({ loss }) => loss, ({ bytes }) => bytes, () => 1];

/**
 * Ridge regression of a measured objective on which level each tensor has. The column of the table whose sum is
 * closest to proportional to the objective is the starting point (loss for a divergence, size for a latency), and
 * the regression finds factors of it, per tensor and per level. Errors count relative to the values; the strength of
 * the ridge is that of the least leave-one-out error.
 *
 * Solved in the dual, with one row per measurement: over one-hot columns its matrix is a sum over tensors.
 *
 * @param seen measured allocations, at least one
 * @param values one objective of each
 */
export function fitAdditive(
  choices: readonly Choice[],
  seen: readonly (readonly number[])[],
  values: readonly number[],
): Additive {
  const least = Math.max(...values.map(Math.abs)) * 1e-9 || 1;
  const weights = values.map((value) => 1 / Math.max(Math.abs(value), least));
  const starts = columns.map((column) => {
    const table = choices.map(({ levels }) => Float64Array.from(levels, column));
    // The factor of the least relative error.
    const sums = Float64Array.from(
      seen,
      (levels, index) => additiveValue(table, levels) * (weights[index] ?? 0),
    );
    const targets = Float64Array.from(values, (value, index) => value * (weights[index] ?? 0));
    const factor = dot(sums, targets) / (dot(sums, sums) || 1);
    const residuals = targets.map((target, index) => target - factor * (sums[index] ?? 0));
    return { table, factor, residuals, error: dot(residuals, residuals) };
  });
  const best = starts.reduce((a, b) => (b.error < a.error ? b : a));
  const rows = seen.map((levels, index) =>
    levels.map((level, tensor) => (best.table[tensor]?.[level] ?? 0) * (weights[index] ?? 0)),
  );
  const solution = ridge(gram(seen, rows), best.residuals);

  const perTensor = choices.map(() => 0);
  const perLevel = choices.map(({ levels }) => new Float64Array(levels.length));
  for (const [index, levels] of seen.entries()) {
    for (const [tensor, level] of levels.entries()) {
      const share = (solution[index] ?? 0) * (rows[index]?.[tensor] ?? 0);
      perTensor[tensor] = (perTensor[tensor] ?? 0) + share;
      const own = perLevel[tensor];
      if (own) own[level] = (own[level] ?? 0) + share;
    }
  }
  return best.table.map((own, tensor) =>
    own.map((value, level) => {
      return value * (best.factor + (perTensor[tensor] ?? 0) + (perLevel[tensor]?.[level] ?? 0));
    }),
  );
}

/** Products of all pairs of rows, those of tensors on the same level twice: one factor per tensor, one per level. */
function gram(seen: readonly (readonly number[])[], rows: readonly (readonly number[])[]): Float64Array {
  const count = seen.length;
  const matrix = new Float64Array(count * count);
  for (let a = 0; a < count; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = 0;
      for (const [tensor, value] of (rows[a] ?? []).entries()) {
        const twice = seen[a]?.[tensor] === seen[b]?.[tensor] ? 2 : 1;
        sum += twice * value * (rows[b]?.[tensor] ?? 0);
      }
      matrix[a * count + b] = sum;
      matrix[b * count + a] = sum;
    }
  }
  return matrix;
}

/** (K + λ I)⁻¹ y with the λ of the least leave-one-out error, whose residuals are αᵢ / ((K + λ I)⁻¹)ᵢᵢ. */
function ridge(kernel: Float64Array, targets: Float64Array): Float64Array {
  const count = targets.length;
  let trace = 0;
  for (let index = 0; index < count; index++) trace += kernel[index * (count + 1)] ?? 0;
  let best = { error: dot(targets, targets), weights: new Float64Array(count) };
  for (const strength of [1e-4, 1e-3, 1e-2, 1e-1, 1]) {
    const matrix = Float64Array.from(kernel);
    for (let index = 0; index < count; index++) {
      matrix[index * (count + 1)] = (matrix[index * (count + 1)] ?? 0) + (strength * trace) / count;
    }
    const factor = factorize(matrix, count);
    if (!factor) continue;
    const weights = solve(factor, targets);
    const residuals = weights.map((weight, index) => {
      const unit = new Float64Array(count);
      unit[index] = 1;
      return weight / (solve(factor, unit)[index] ?? 1);
    });
    const error = dot(residuals, residuals);
    if (error < best.error) best = { error, weights: Float64Array.from(weights) };
  }
  return best.weights;
}
