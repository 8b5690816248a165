import { crowding, type Objectives, sortFronts } from './pareto.js';

/** An allocation with the logarithms of its expected objectives. */
export interface Candidate {
  readonly levels: readonly number[];
  readonly objectives: Objectives;
}

/** The best by front, within a front those that stand alone; of the same allocation one. */
export function select(candidates: readonly Candidate[], count: number): Candidate[] {
  const unique = [...new Map(candidates.map((candidate) => [candidate.levels.join(), candidate])).values()];
  const chosen: Candidate[] = [];
  for (const front of sortFronts(unique.map(({ objectives }) => objectives))) {
    const members = front.flatMap((index) => unique.slice(index, index + 1));
    const alone = crowding(members.map(({ objectives }) => objectives));
    const order = [...members.keys()].sort((a, b) => {
      const [left, right] = [alone[a] ?? 0, alone[b] ?? 0];
      return left === right ? a - b : right - left;
    });
    chosen.push(...order.flatMap((index) => members.slice(index, index + 1)));
    if (chosen.length >= count) break;
  }
  return chosen.slice(0, count);
}

/** Of the first fronts those candidates that are farthest from what is known and from each other. */
export function apart(
  candidates: readonly Candidate[],
  known: readonly Objectives[],
  count: number,
): Candidate[] {
  const ranges = (known[0] ?? []).map((_, objective) => {
    const values = known.map((point) => point[objective] ?? 0);
    return Math.max(...values) - Math.min(...values) || 1;
  });
  const distance = (a: Objectives, b: Objectives) =>
    a.reduce((sum, value, index) => sum + ((value - (b[index] ?? 0)) / (ranges[index] ?? 1)) ** 2, 0);
  const nearest = (a: Objectives, others: readonly Objectives[]) =>
    others.reduce((least, other) => Math.min(least, distance(a, other)), Infinity);
  const chosen: Candidate[] = [];
  for (const front of sortFronts(candidates.map(({ objectives }) => objectives))) {
    const open = front.flatMap((index) => candidates.slice(index, index + 1));
    const gaps = open.map(({ objectives }) =>
      nearest(objectives, [...known, ...chosen.map((other) => other.objectives)]),
    );
    for (let taken = 0; taken < open.length && chosen.length < count; taken++) {
      const place = gaps.indexOf(Math.max(...gaps));
      const [next] = open.slice(place, place + 1);
      if (!next) break;
      chosen.push(next);
      gaps[place] = -1;
      for (const [index, other] of open.entries()) {
        gaps[index] = Math.min(gaps[index] ?? 0, distance(other.objectives, next.objectives));
      }
    }
    if (chosen.length >= count) break;
  }
  return chosen;
}
