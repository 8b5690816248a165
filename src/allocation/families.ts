import { TersorError } from '../errors.js';
import { knapsack } from './knapsack.js';
import { type Allocation, type Choice, type Level, smallest } from './table.js';

export interface FamilyAllocations {
  /** The best with levels of one family only, by family; undefined where the budget cannot be met so. */
  readonly alone: Readonly<Record<string, Allocation | undefined>>;
  /** The best with levels of all families: never worse than any alone. */
  readonly together: Allocation;
}

/**
 * Allocations with integer formats only, with float formats only, and with both in one search (FLIQS: Dotzel et al.,
 * 2023, arXiv:2308.03290, which searches by reinforcement learning; on a table of losses the exact knapsack does,
 * and more choice cannot make its optimum worse). A tensor without levels in a family, such as one that must stay as
 * it is, keeps its smallest level in all of them.
 *
 * @param familyOf the family of a level, such as integer or float
 * @returns indices of levels in all allocations are those of `choices`
 * @throws TersorError when not even all families together meet the budget
 */
export function allocateFamilies(
  choices: readonly Choice[],
  budget: number,
  familyOf: (level: Level) => string,
): FamilyAllocations {
  const together = knapsack(choices, budget);
  const families = [...new Set(choices.flatMap(({ levels }) => levels.map(familyOf)))].sort();
  const least = smallest(choices).levels;
  const alone = families.map((family): [string, Allocation | undefined] => {
    const kept = choices.map(({ levels }, tensor) => {
      const own = [...levels.keys()].filter((index) =>
        levels.slice(index, index + 1).some((level) => familyOf(level) === family),
      );
      return own.length > 0 ? own : [least[tensor] ?? 0];
    });
    const table = choices.map(({ name, levels }, tensor) => ({
      name,
      levels: (kept[tensor] ?? []).flatMap((index) => levels.slice(index, index + 1)),
    }));
    if (smallest(table).bytes > budget) return [family, undefined];
    const { levels, bytes, loss } = knapsack(table, budget);
    return [family, { levels: levels.map((level, tensor) => kept[tensor]?.[level] ?? 0), bytes, loss }];
  });
  return { alone: Object.fromEntries(alone), together };
}

/** Tensors per family in an allocation, for reports. */
export function countFamilies(
  choices: readonly Choice[],
  allocation: Allocation,
  familyOf: (level: Level) => string,
): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const [tensor, { name, levels }] of choices.entries()) {
    const level = levels[allocation.levels[tensor] ?? -1];
    if (!level) throw new TersorError('the allocation names no level of it', { tensor: name });
    const family = familyOf(level);
    counts[family] = (counts[family] ?? 0) + 1;
  }
  return counts;
}
