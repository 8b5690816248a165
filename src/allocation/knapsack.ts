import { relax } from './relaxation.js';
import { type Allocation, type Choice, checkBudget, type IndexedLevel, total, worthwhile } from './table.js';

export interface KnapsackOptions {
  /** Partial allocations remembered per tensor. Only tables made to be hard reach it. */
  readonly states: number;
}

export const knapsackDefaults: KnapsackOptions = { states: 65536 };

export interface KnapsackSolution extends Allocation {
  /** By how much the loss may at most exceed the optimum: 0 (proven) unless `states` was reached. */
  readonly gap: number;
}

/** Partial allocations of the tensors so far, relative to the base: more bytes, less loss. */
interface States {
  readonly bytes: readonly number[];
  readonly loss: readonly number[];
  /** Index of the state it extends, and the position it adds, to go back from the optimum. */
  readonly parents: readonly number[];
  readonly positions: readonly number[];
}

/** A tensor that may leave its base. */
interface Branch {
  readonly tensor: number;
  /** Its levels relative to the base. */
  readonly levels: readonly { readonly position: number; readonly bytes: number; readonly loss: number }[];
  /** The most loss that a byte more saves, and the least that a byte less costs (Infinity: no smaller level). */
  readonly up: number;
  readonly down: number;
}

/**
 * The allocation of least loss within a budget, exactly: a multiple-choice knapsack. Of equal loss (to twelve
 * digits) the smaller size is returned, then the first in the table.
 *
 * Starts from the linear relaxation and lets tensors leave it one by one, those first whose alternatives are priced
 * closest to the relaxation's (the core of Pisinger, 1995, "A minimal algorithm for the multiple-choice knapsack
 * problem"). Partial allocations are kept in a list without dominated ones (Nemhauser and Ullmann, 1969); those go
 * that cannot beat the best known even if the remaining tensors gave and took bytes at their best prices.
 *
 * @param choices losses add up; bytes are whole numbers
 * @param budget bytes for all tensors together
 * @throws TersorError when the table holds no number, or the budget is below the smallest size, which is named
 */
export function knapsack(
  choices: readonly Choice[],
  budget: number,
  options: Partial<KnapsackOptions> = {},
): KnapsackSolution {
  const { states: most } = { ...knapsackDefaults, ...options };
  checkBudget(choices, budget);
  const tensors = choices.map(worthwhile);
  const size = (positions: readonly number[]) => sum(tensors, positions, 'bytes');
  const { base, greedy, price } = relax(tensors, budget - size(base0(tensors)));
  const baseLoss = sum(tensors, base, 'loss');
  const tolerance = 1e-12 * sum(tensors, base, 'magnitude');
  const slack = budget - size(base);
  const branches = branchesOf(tensors, base, price);

  // The best known allocation, relative to the base, and how to find it again.
  let best = { loss: sum(tensors, greedy, 'loss') - baseLoss, slack: budget - size(greedy) };
  let found: { stage: number; parent: number; position: number } | undefined;
  let unproven = Infinity;

  const stages: States[] = [];
  let list: States = { bytes: [0], loss: [0], parents: [0], positions: [0] };
  for (const [stage, branch] of branches.entries()) {
    const rest = branches.slice(stage + 1);
    const up = rest.reduce((steepest, other) => Math.max(steepest, other.up), 0);
    const down = rest.reduce((cheapest, other) => Math.min(cheapest, other.down), Infinity);
    // The least loss of whatever this state can become with so many bytes left.
    const bound = (loss: number, left: number) =>
      left >= 0 ? loss - up * left : loss - left * Math.min(down, Number.MAX_VALUE);
    const hopeless = (bytes: number, loss: number) =>
      bound(loss, slack - bytes) >= best.loss - tolerance &&
      bound(loss, slack - bytes - best.slack - 1) > best.loss + tolerance;

    const extended = extend(list, branch, (bytes, loss, parent, position) => {
      const left = slack - bytes;
      const better = loss < best.loss - tolerance || (loss <= best.loss + tolerance && left > best.slack);
      if (left >= 0 && better) {
        best = { loss, slack: left };
        found = { stage, parent, position };
      }
      return !hopeless(bytes, loss);
    });
    const limited = limit(extended, most, (bytes, loss) => bound(loss, slack - bytes));
    unproven = Math.min(unproven, limited.dropped);
    stages.push(limited.states);
    list = limited.states;
    if (list.bytes.length === 0) break;
  }

  const positions = found ? trace(base, branches, stages, found) : greedy;
  const levels = positions.map((position, tensor) => tensors[tensor]?.[position]?.index ?? 0);
  return { ...total(choices, levels), gap: Math.max(0, best.loss - unproven) };
}

const base0 = (tensors: readonly unknown[]) => tensors.map(() => 0);

function sum(
  tensors: readonly (readonly IndexedLevel[])[],
  positions: readonly number[],
  what: 'bytes' | 'loss' | 'magnitude',
): number {
  return tensors.reduce((result, levels, tensor) => {
    const level = levels[positions[tensor] ?? 0];
    if (!level) return result;
    return result + (what === 'magnitude' ? Math.abs(level.loss) : level[what]);
  }, 0);
}

/** The tensors that have a choice, those first whose best offer is closest to the price. */
function branchesOf(
  tensors: readonly (readonly IndexedLevel[])[],
  base: readonly number[],
  price: number,
): readonly Branch[] {
  const branches = tensors.flatMap((all, tensor): Branch[] => {
    const start = all[base[tensor] ?? 0];
    if (!start || all.length < 2) return [];
    const levels = all.map(({ bytes, loss }, position) => ({
      position,
      bytes: bytes - start.bytes,
      loss: loss - start.loss,
    }));
    const slopes = (sign: 1 | -1) =>
      levels.filter(({ bytes }) => sign * bytes > 0).map(({ bytes, loss }) => -loss / bytes);
    return [{ tensor, levels, up: Math.max(0, ...slopes(1)), down: Math.min(Infinity, ...slopes(-1)) }];
  });
  const distance = ({ up, down }: Branch) => Math.min(up > 0 ? price - up : Infinity, down - price);
  return branches.sort((a, b) => distance(a) - distance(b) || a.tensor - b.tensor);
}

/** Every state with every level of the tensor, sorted by bytes, without those that another one dominates. */
function extend(
  from: States,
  branch: Branch,
  keep: (bytes: number, loss: number, parent: number, position: number) => boolean,
): States {
  // Each level shifts a sorted list, so the result is a merge of sorted lists.
  const heads = branch.levels.map((level) => ({ ...level, next: 0 }));
  const count = from.bytes.length;
  const bytes: number[] = [];
  const loss: number[] = [];
  const parents: number[] = [];
  const positions: number[] = [];
  let lowest = Infinity;
  for (;;) {
    let chosen: (typeof heads)[number] | undefined;
    let [leastBytes, leastLoss] = [Infinity, Infinity];
    for (const head of heads) {
      if (head.next >= count) continue;
      const ownBytes = (from.bytes[head.next] ?? 0) + head.bytes;
      if (ownBytes > leastBytes) continue;
      const ownLoss = (from.loss[head.next] ?? 0) + head.loss;
      if (ownBytes === leastBytes && ownLoss >= leastLoss) continue;
      [chosen, leastBytes, leastLoss] = [head, ownBytes, ownLoss];
    }
    if (!chosen) break;
    const parent = chosen.next++;
    if (leastLoss >= lowest || !keep(leastBytes, leastLoss, parent, chosen.position)) continue;
    lowest = leastLoss;
    bytes.push(leastBytes);
    loss.push(leastLoss);
    parents.push(parent);
    positions.push(chosen.position);
  }
  return { bytes, loss, parents, positions };
}

/** At most so many states, those of the lowest bounds; `dropped` is the lowest bound that went. */
function limit(
  states: States,
  most: number,
  bound: (bytes: number, loss: number) => number,
): { readonly states: States; readonly dropped: number } {
  if (states.bytes.length <= most) return { states, dropped: Infinity };
  const bounds = states.bytes.map((bytes, index) => bound(bytes, states.loss[index] ?? 0));
  const order = [...bounds.keys()].sort((a, b) => (bounds[a] ?? 0) - (bounds[b] ?? 0) || a - b);
  const kept = new Set(order.slice(0, most));
  const pick = (values: readonly number[]) => values.filter((_, index) => kept.has(index));
  const { bytes, loss, parents, positions } = states;
  return {
    states: {
      bytes: pick(bytes),
      loss: pick(loss),
      parents: pick(parents),
      positions: pick(positions),
    },
    dropped: bounds[order[most] ?? 0] ?? Infinity,
  };
}

/** Positions of the state that was found, back to the first tensor. */
function trace(
  base: readonly number[],
  branches: readonly Branch[],
  stages: readonly States[],
  found: { readonly stage: number; readonly parent: number; readonly position: number },
): number[] {
  const positions = [...base];
  let { parent, position } = found;
  for (let stage = found.stage; stage >= 0; stage--) {
    positions[branches[stage]?.tensor ?? 0] = position;
    const before = stages[stage - 1];
    if (!before) break;
    position = before.positions[parent] ?? 0;
    parent = before.parents[parent] ?? 0;
  }
  return positions;
}
