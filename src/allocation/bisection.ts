import { TersorError } from '../errors.js';
import { knapsack } from './knapsack.js';
import { type Allocation, type Choice, checkChoices, smallest } from './table.js';

/** A measured quality: less is better. */
export interface Measurement {
  readonly value: number;
  /** Standard error of the value, in its units; 0 when left out. */
  readonly error?: number;
}

export interface BisectionOptions {
  /** Measurements at most. */
  readonly measurements: number;
  /** Ends when the size is known to this share. */
  readonly tolerance: number;
  /** Standard errors by which a value must stay below the limit to hold it. */
  readonly confidence: number;
}

export const bisectionDefaults: BisectionOptions = { measurements: 12, tolerance: 0.002, confidence: 2 };

export interface BisectionSolution extends Allocation {
  readonly quality: Measurement;
  readonly measurements: number;
  /** Size of the largest allocation measured that did not hold the limit; undefined if all did. */
  readonly failedBytes: number | undefined;
}

/**
 * The smallest allocation whose measured quality stays within a limit: bisects over the budget of the exact knapsack
 * (the search of the augmented-Hessian line, where the user names the quality and not the size). Between two
 * measured sizes the next is every other time the middle, and else a guess that takes the logarithm of the quality for
 * linear in the size.
 *
 * A noisy value holds the limit only when it stays below by `confidence` standard errors. The result was itself
 * measured and held, even if quality does not always improve with size.
 *
 * @param measure quality of an allocation, with its standard error
 * @param limit in the units of `measure`
 * @throws TersorError when the table holds no number, or even the allocation of least loss does not hold the limit
 */
export async function bisect(
  choices: readonly Choice[],
  limit: number,
  measure: (allocation: Allocation) => Promise<Measurement>,
  options: Partial<BisectionOptions> = {},
): Promise<BisectionSolution> {
  const { measurements: most, tolerance, confidence } = { ...bisectionDefaults, ...options };
  checkChoices(choices);
  let measurements = 0;
  const attempt = async (allocation: Allocation) => {
    const quality = await measure(allocation);
    measurements++;
    const upper = quality.value + confidence * (quality.error ?? 0);
    return { allocation, quality, upper, holds: upper <= limit };
  };

  let held = await attempt(knapsack(choices, Number.MAX_SAFE_INTEGER));
  if (!held.holds) {
    const noise = held.quality.error ? ` ± ${held.quality.error}` : '';
    throw new TersorError(
      `no allocation holds the limit of ${limit}: the best has ${held.quality.value}${noise}`,
      { remedy: 'raise the limit or allow larger types' },
    );
  }
  const result = (failedBytes: number | undefined): BisectionSolution => {
    const { levels, bytes, loss } = held.allocation;
    return { levels, bytes, loss, quality: held.quality, measurements, failedBytes };
  };
  const least = smallest(choices);
  if (least.bytes === held.allocation.bytes || measurements >= most) return result(undefined);
  let failed = await attempt(least);
  if (failed.holds) {
    held = failed;
    return result(undefined);
  }
  // Budgets from `low` on may hold the limit.
  let low = failed.allocation.bytes + 1;
  while (measurements < most && held.allocation.bytes - low > tolerance * held.allocation.bytes) {
    const high = held.allocation.bytes - 1;
    const share = measurements % 2 ? 0.5 : guess(failed.upper, held.upper, limit);
    const budget = Math.floor(low + share * (high - low));
    const allocation = knapsack(choices, budget);
    if (allocation.bytes <= failed.allocation.bytes) {
      low = budget + 1;
      continue;
    }
    const next = await attempt(allocation);
    if (next.holds) held = next;
    else {
      failed = next;
      low = budget + 1;
    }
  }
  return result(failed.allocation.bytes);
}

/** Where between two sizes the logarithm of the quality meets the limit's; the middle if there is none. */
function guess(above: number, below: number, limit: number): number {
  const share = Math.log(above / limit) / Math.log(above / below);
  return Number.isFinite(share) ? Math.min(0.9, Math.max(0.1, share)) : 0.5;
}
