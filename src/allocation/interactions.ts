import { TersorError } from '../errors.js';
import { createRandom, type Random } from '../random.js';
import { knapsack } from './knapsack.js';
import { type Allocation, type Choice, checkBudget, levelOf, total } from './table.js';

/** What two tensors cost together beyond the sum of what each costs alone; negative when errors cancel. */
export interface Pair {
  /** Indices into the choices, different ones, and the levels that both must have. */
  readonly first: number;
  readonly firstLevel: number;
  readonly second: number;
  readonly secondLevel: number;
  readonly loss: number;
}

export interface InteractionOptions {
  /** How often the best allocation is disturbed and improved again. */
  readonly perturbations: number;
  readonly seed: number;
}

export const interactionDefaults: InteractionOptions = { perturbations: 40, seed: 0 };

/**
 * The loss of levels with their interactions: the quadratic model of a loss whose Hessian has blocks between layers
 * (Schaefer et al., 2023, "Augmenting Hessians with inter-layer dependencies", arXiv:2306.04879).
 */
export function interactingLoss(
  choices: readonly Choice[],
  pairs: readonly Pair[],
  levels: readonly number[],
): number {
  return pairs.reduce(
    (sum, { first, firstLevel, second, secondLevel, loss }) =>
      levels[first] === firstLevel && levels[second] === secondLevel ? sum + loss : sum,
    total(choices, levels).loss,
  );
}

/**
 * An allocation of little loss, interactions included, within a budget. The problem is a quadratic knapsack, which
 * no known method solves exactly for hundreds of tensors; this is a local search. From the exact knapsack of the
 * losses alone, it solves the knapsack of losses as they are given the other tensors' levels, as long as that
 * helps, then changes one or two tensors at a time until no change helps, and goes on from random disturbances of
 * the best.
 *
 * @returns never worse than the knapsack without interactions; `loss` includes them
 * @throws TersorError when the table or a pair holds no number, a pair names no level, or the budget is too small
 */
export function allocateInteracting(
  choices: readonly Choice[],
  pairs: readonly Pair[],
  budget: number,
  options: Partial<InteractionOptions> = {},
): Allocation {
  const { perturbations, seed } = { ...interactionDefaults, ...options };
  checkBudget(choices, budget);
  const couplings = coupled(choices, pairs);
  const random = createRandom(seed);
  const descend = (start: readonly number[]) => {
    const linear = linearised(choices, couplings, pairs, budget, start);
    return improve(choices, couplings, budget, linear);
  };
  const value = (levels: readonly number[]) => interactingLoss(choices, pairs, levels);
  let best = descend(knapsack(choices, budget).levels);
  let least = value(best);
  for (let round = 0; round < perturbations; round++) {
    const next = descend(disturb(choices, budget, best, random));
    const loss = value(next);
    if (loss >= least) continue;
    [best, least] = [next, loss];
  }
  return { ...total(choices, best), loss: least };
}

/** For each tensor and level the pairs that it is part of, by the other tensor and its level. */
type Couplings = readonly (readonly ReadonlyMap<number, ReadonlyMap<number, number>>[])[];

function coupled(choices: readonly Choice[], pairs: readonly Pair[]): Couplings {
  const couplings = choices.map(({ levels }) => levels.map(() => new Map<number, Map<number, number>>()));
  const add = (tensor: number, level: number, other: number, otherLevel: number, loss: number) => {
    const own = couplings[tensor]?.[level];
    const row = own?.get(other) ?? new Map<number, number>();
    own?.set(other, row.set(otherLevel, (row.get(otherLevel) ?? 0) + loss));
  };
  for (const { first, firstLevel, second, secondLevel, loss } of pairs) {
    const [a, b] = [choices[first], choices[second]];
    if (!a || !b || first === second) {
      throw new TersorError(`tensors ${first} and ${second} are no pair among ${choices.length}`);
    }
    levelOf(a, firstLevel);
    levelOf(b, secondLevel);
    if (!Number.isFinite(loss)) {
      throw new TersorError(`its interaction with ${b.name} has a loss of ${loss}`, { tensor: a.name });
    }
    add(first, firstLevel, second, secondLevel, loss);
    add(second, secondLevel, first, firstLevel, loss);
  }
  return couplings;
}

/** What a level of a tensor costs while all others stay. */
function fieldOf(
  choices: readonly Choice[],
  couplings: Couplings,
  levels: readonly number[],
  tensor: number,
  level: number,
): number {
  let sum = choices[tensor]?.levels[level]?.loss ?? 0;
  for (const [other, row] of couplings[tensor]?.[level] ?? []) sum += row.get(levels[other] ?? 0) ?? 0;
  return sum;
}

/** Knapsacks of the losses around an allocation, each accepted if it lowers the true loss. */
function linearised(
  choices: readonly Choice[],
  couplings: Couplings,
  pairs: readonly Pair[],
  budget: number,
  start: readonly number[],
): number[] {
  let current = [...start];
  let loss = interactingLoss(choices, pairs, current);
  for (;;) {
    const around = choices.map(({ name, levels }, tensor) => ({
      name,
      levels: levels.map((level, index) => ({
        ...level,
        loss: fieldOf(choices, couplings, current, tensor, index),
      })),
    }));
    const next = [...knapsack(around, budget, { states: 1024 }).levels];
    const value = interactingLoss(choices, pairs, next);
    if (value >= loss) return current;
    [current, loss] = [next, value];
  }
}

interface Move {
  readonly tensor: number;
  readonly level: number;
  readonly bytes: number;
  /** What the move alone adds to the loss. */
  readonly loss: number;
}

/** Changes of one or two tensors, the best first, until none lowers the loss. */
function improve(
  choices: readonly Choice[],
  couplings: Couplings,
  budget: number,
  start: readonly number[],
): number[] {
  const levels = [...start];
  const coupling = (a: number, aLevel: number, b: number, bLevel: number) =>
    couplings[a]?.[aLevel]?.get(b)?.get(bLevel) ?? 0;
  for (;;) {
    const { bytes } = total(choices, levels);
    const moves = choices.flatMap((choice, tensor): Move[] => {
      const now = levels[tensor] ?? 0;
      const from = levelOf(choice, now);
      const before = fieldOf(choices, couplings, levels, tensor, now);
      return choice.levels.flatMap((level, index) => {
        if (index === now) return [];
        const loss = fieldOf(choices, couplings, levels, tensor, index) - before;
        return [{ tensor, level: index, bytes: level.bytes - from.bytes, loss }];
      });
    });
    // Pairs of the moves that promise most: those that save loss, and those that save bytes for little loss.
    const helpful = moves.toSorted((a, b) => a.loss - b.loss).slice(0, 150);
    const paying = moves.filter((move) => move.bytes < 0);
    const price = (move: Move) => move.loss / -move.bytes;
    const cheap = paying.toSorted((a, b) => price(a) - price(b)).slice(0, 150);
    let best: { readonly loss: number; readonly moves: readonly Move[] } = { loss: -1e-12, moves: [] };
    const left = budget - bytes;
    for (const move of moves) {
      if (move.bytes <= left && move.loss < best.loss) best = { loss: move.loss, moves: [move] };
    }
    for (const a of helpful) {
      for (const b of [...helpful, ...cheap]) {
        if (a.tensor === b.tensor || a.bytes + b.bytes > left) continue;
        const [x, y] = [levels[a.tensor] ?? 0, levels[b.tensor] ?? 0];
        const together =
          coupling(a.tensor, a.level, b.tensor, b.level) -
          coupling(a.tensor, a.level, b.tensor, y) -
          coupling(a.tensor, x, b.tensor, b.level) +
          coupling(a.tensor, x, b.tensor, y);
        const loss = a.loss + b.loss + together;
        if (loss < best.loss) best = { loss, moves: [a, b] };
      }
    }
    if (best.moves.length === 0) return levels;
    for (const { tensor, level } of best.moves) levels[tensor] = level;
  }
}

/** A third of the tensors at a random level, then random ones at their smallest until the budget holds. */
function disturb(
  choices: readonly Choice[],
  budget: number,
  levels: readonly number[],
  random: Random,
): number[] {
  const result = choices.map((choice, tensor) =>
    random.next() < 1 / 3 ? random.integer(choice.levels.length) : (levels[tensor] ?? 0),
  );
  for (const tensor of random.shuffle([...choices.keys()])) {
    if (total(choices, result).bytes <= budget) break;
    const sizes = (choices[tensor]?.levels ?? []).map(({ bytes }) => bytes);
    result[tensor] = sizes.indexOf(Math.min(...sizes));
  }
  return result;
}
