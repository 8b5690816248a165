import type { Allocation, Choice } from '../../allocation/table.js';
import type { TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import type { Context } from '../context/context.js';
import type { Recipe } from '../prepare/recipe.js';
import type { SolvedLevel } from './table/entries.js';
import { mixture } from './table/mixture.js';
import { type LevelTable, tableTokens } from './table/table.js';

/** Expected divergence of the model with these levels, measured on about so many tokens; and its standard error. */
export type MeasureAllocation = (
  allocation: Allocation,
  tokens?: number,
) => Promise<{ readonly value: number; readonly error: number }>;

/**
 * What is left of the divergence of levels solved one by one on the original's activations when the model is
 * compressed for good: every layer is then solved for the original's outputs, from the inputs that compressed layers
 * give, and is calibrated on more tokens than the levels were. Measured in docs/results/sizes.md (“Planning”), where it varied by the deviation.
 */
function correction({ match, tokens }: Recipe): number {
  if (match !== 'original') return 1;
  return tokens >= 2 * tableTokens ? 0.82 : 0.92;
}
const correctionDeviation = 0.15;

/** Measures allocations by the predictions of the whole model with its weights from the store. */
export function createAllocationMeasure(
  context: Context,
  model: Model,
  table: LevelTable,
  recipe: Recipe,
): MeasureAllocation {
  const gain = correction(recipe);
  return async (allocation, tokens) => {
    const changed = mixture(context, table.store, model, pick(table, allocation));
    const { mean, standardError } = await table.evaluator.model(changed, tokens);
    return { value: gain * mean, error: gain * Math.hypot(standardError, correctionDeviation * mean) };
  };
}

/** The table as searches want it: tensors count as multiples of `unit` bytes. */
export function choicesOf({ tensors }: LevelTable, unit: number): Choice[] {
  return tensors.map(({ name, levels }) => ({
    name,
    levels: levels.map((level) => ({ ...level, bytes: Math.ceil(level.bytes / unit) * unit })),
  }));
}

/** The level that an allocation gives to every tensor. */
export function pick({ tensors }: LevelTable, { levels }: Allocation): ReadonlyMap<TensorSpec, SolvedLevel> {
  return new Map(
    tensors.flatMap(({ spec, levels: all }, tensor) => {
      const level = all[levels[tensor] ?? -1];
      return level ? [[spec, level] as const] : [];
    }),
  );
}
