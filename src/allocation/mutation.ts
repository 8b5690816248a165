import type { Random } from '../random.js';
import type { Choice } from './table.js';

/** A kind of mutation. */
export interface Operator {
  /** Tensors that get more bytes. */
  readonly switches: number;
  /** Whether a tensor goes to the next level or to any. */
  readonly reach: 'next' | 'any';
}

/** What the search may do to an allocation; small changes first. */
export const operators: readonly Operator[] = [
  { switches: 1, reach: 'next' },
  { switches: 2, reach: 'next' },
  { switches: 3, reach: 'next' },
  { switches: 1, reach: 'any' },
  { switches: 2, reach: 'any' },
];

/** Allocations as ranks: the position of each tensor's level among its levels in order of size. */
export interface Ladder {
  ranks(levels: readonly number[]): number[];
  levels(ranks: readonly number[]): number[];
  bytes(ranks: readonly number[]): number;
  /** How many levels the tensor has. */
  height(tensor: number): number;
  /** Bytes between two ranks of a tensor. */
  difference(tensor: number, from: number, to: number): number;
}

/** Levels of every tensor in order of size; of equals the first in the table is lower. */
export function createLadder(choices: readonly Choice[]): Ladder {
  const orders = choices.map(({ levels }) =>
    [...levels.keys()].sort((a, b) => (levels[a]?.bytes ?? 0) - (levels[b]?.bytes ?? 0) || a - b),
  );
  const sizes = orders.map((order, tensor) =>
    order.map((level) => choices[tensor]?.levels[level]?.bytes ?? 0),
  );
  const size = (tensor: number, rank: number) => sizes[tensor]?.[rank] ?? 0;
  return {
    ranks: (levels) => orders.map((order, tensor) => order.indexOf(levels[tensor] ?? 0)),
    levels: (ranks) => orders.map((order, tensor) => order[ranks[tensor] ?? 0] ?? 0),
    bytes: (ranks) => ranks.reduce((sum, rank, tensor) => sum + size(tensor, rank), 0),
    height: (tensor) => sizes[tensor]?.length ?? 0,
    difference: (tensor, from, to) => size(tensor, to) - size(tensor, from),
  };
}

/**
 * A level switch that keeps the size (Sieberling et al., 2024, arXiv:2410.14649, section 3): some tensors get larger
 * levels, others pay. In the paper two tensors of the same size trade places; here tensors differ in size, so
 * tensors pay until the budget holds, preferably one that frees about what is needed, and what is left over is spent
 * again on tensors that did not pay.
 *
 * @param ranks within the budget
 * @returns ranks within the budget; those that came in when nothing can move
 */
export function mutate(
  ladder: Ladder,
  ranks: readonly number[],
  budget: number,
  operator: Operator,
  random: Random,
): number[] {
  const result = [...ranks];
  let left = budget - ladder.bytes(result);
  const raised = new Set<number>();
  const lowered = new Set<number>();
  const move = (tensor: number, to: number) => {
    left -= ladder.difference(tensor, result[tensor] ?? 0, to);
    result[tensor] = to;
  };
  const pick = (from: readonly number[]) => from[random.integer(from.length)];
  const all = [...result.keys()];
  const rank = (tensor: number) => result[tensor] ?? 0;
  const room = (tensor: number) => ladder.height(tensor) - 1 - rank(tensor);

  for (let count = 0; count < operator.switches; count++) {
    const tensor = pick(all.filter((other) => !raised.has(other) && room(other) > 0));
    if (tensor === undefined) break;
    move(tensor, rank(tensor) + (operator.reach === 'any' ? 1 + random.integer(room(tensor)) : 1));
    raised.add(tensor);
  }
  while (left < 0) {
    const free = all.filter((tensor) => !raised.has(tensor) && rank(tensor) > 0);
    // When all others are at their smallest, the raised ones give back.
    const payers = free.length > 0 ? free : all.filter((tensor) => rank(tensor) > 0);
    const freed = (tensor: number) => -ladder.difference(tensor, rank(tensor), rank(tensor) - 1);
    const fair = payers.filter((tensor) => freed(tensor) >= -left && freed(tensor) <= -2 * left);
    const tensor = pick(fair.length > 0 ? fair : payers);
    if (tensor === undefined) break;
    move(tensor, rank(tensor) - 1);
    lowered.add(tensor);
  }
  for (const tensor of random.shuffle(all)) {
    if (lowered.has(tensor) || raised.has(tensor) || room(tensor) === 0) continue;
    const cost = ladder.difference(tensor, rank(tensor), rank(tensor) + 1);
    // Levels of equal size cost nothing; moving them all at once would not be a small change.
    if (cost > 0 && cost <= left) move(tensor, rank(tensor) + 1);
  }
  return result;
}
