import type { Pair } from '../../allocation/interactions.js';
import { knapsack } from '../../allocation/knapsack.js';
import { total } from '../../allocation/table.js';
import { required } from '../../required.js';
import type { SearchTask } from './task.js';

/** Tensors whose pairs are measured: those that cost most in the allocation without interactions. */
const measuredTensors = 6;

/**
 * What pairs of tensors cost beyond the sum of each alone (the blocks between layers of the loss's Hessian: Schaefer
 * et al., 2023, arXiv:2306.04879). Measured where it matters, between the tensors that cost most, all others kept at
 * their best level; for other levels it is scaled with the geometric mean of both losses, as the bilinear form of two
 * errors is with their lengths.
 */
export async function measurePairs({ choices, budget, measureAllocation }: SearchTask): Promise<Pair[]> {
  const { levels } = knapsack(choices, budget);
  const best = choices.map((choice) => {
    const losses = choice.levels.map(({ loss }) => loss);
    return losses.indexOf(Math.min(...losses));
  });
  const lossOf = (tensor: number, level: number) => choices[tensor]?.levels[level]?.loss ?? 0;
  const cost = (tensor: number) => lossOf(tensor, levels[tensor] ?? 0);
  const tensors = [...choices.keys()].sort((a, b) => cost(b) - cost(a)).slice(0, measuredTensors);

  /** Divergence with these tensors at their levels and all others at their best. */
  const measure = async (...chosen: readonly number[]) => {
    const mixed = best.map((level, tensor) => (chosen.includes(tensor) ? (levels[tensor] ?? level) : level));
    return (await measureAllocation(total(choices, mixed))).value;
  };
  const none = await measure();
  const alone = new Map<number, number>();
  for (const tensor of tensors) alone.set(tensor, (await measure(tensor)) - none);

  const pairs: Pair[] = [];
  for (const [index, first] of tensors.entries()) {
    for (const second of tensors.slice(index + 1)) {
      const together = (await measure(first, second)) - none;
      const extra = together - required(alone, first) - required(alone, second);
      const length = Math.sqrt(cost(first) * cost(second));
      if (!(length > 0)) continue;
      for (const firstLevel of required(choices, first).levels.keys()) {
        for (const secondLevel of required(choices, second).levels.keys()) {
          const scale = Math.sqrt(lossOf(first, firstLevel) * lossOf(second, secondLevel)) / length;
          pairs.push({ first, firstLevel, second, secondLevel, loss: extra * scale });
        }
      }
    }
  }
  return pairs;
}
