import type { IndexedLevel } from './table.js';

/** A step along the lower convex hull of a tensor's levels. */
export interface Step {
  readonly tensor: number;
  /** Position after the step among the levels handed in. */
  readonly to: number;
  readonly bytes: number;
  /** Loss saved per byte, > 0. */
  readonly slope: number;
}

/** Levels on the lower convex hull of (bytes, loss), as positions; levels as `worthwhile` returns them. */
export function hull(levels: readonly IndexedLevel[]): readonly number[] {
  const kept: number[] = [];
  for (let next = 0; next < levels.length; next++) {
    while (kept.length > 1) {
      const last = kept.at(-1) ?? 0;
      const before = kept.at(-2) ?? 0;
      if (slope(levels, before, last) > slope(levels, last, next)) break;
      kept.pop();
    }
    kept.push(next);
  }
  return kept;
}

/** Loss saved per byte from one position to a larger one. */
function slope(levels: readonly IndexedLevel[], from: number, to: number): number {
  const [a, b] = [levels[from], levels[to]];
  return a && b ? (a.loss - b.loss) / (b.bytes - a.bytes) : 0;
}

/**
 * All steps of all hulls, the steepest first. Taken in this order from the smallest allocation on, every prefix is
 * the best allocation of its size, and a part of the next step the optimum of the linear relaxation (Zemel, 1980;
 * Dyer, 1984). Of equal slopes the first tensor comes first; within a tensor slopes fall strictly.
 */
export function hullSteps(tensors: readonly (readonly IndexedLevel[])[]): readonly Step[] {
  const steps = tensors.flatMap((levels, tensor) => {
    const positions = hull(levels);
    return positions.slice(1).map((to, index): Step => {
      const from = positions[index] ?? 0;
      const bytes = (levels[to]?.bytes ?? 0) - (levels[from]?.bytes ?? 0);
      return { tensor, to, bytes, slope: slope(levels, from, to) };
    });
  });
  return steps.sort((a, b) => b.slope - a.slope || a.tensor - b.tensor || a.to - b.to);
}

/** The optimum of the linear relaxation, rounded down. */
export interface Relaxation {
  /** Position of every tensor before the first step that does not fit. */
  readonly base: number[];
  /** The same, with all later steps that still fit: a feasible allocation. */
  readonly greedy: number[];
  /** Loss per byte at which the budget is used up; 0 when the budget holds the best of every tensor. */
  readonly price: number;
}

/** @param slack bytes that the budget leaves beyond the smallest levels, ≥ 0 */
export function relax(tensors: readonly (readonly IndexedLevel[])[], slack: number): Relaxation {
  const base = tensors.map(() => 0);
  const greedy = tensors.map(() => 0);
  const closed = new Set<number>();
  let [left, price] = [slack, 0];
  for (const step of hullSteps(tensors)) {
    if (closed.has(step.tensor)) continue;
    if (step.bytes > left) {
      if (closed.size === 0) price = step.slope;
      closed.add(step.tensor);
      continue;
    }
    left -= step.bytes;
    greedy[step.tensor] = step.to;
    if (closed.size === 0) base[step.tensor] = step.to;
  }
  return { base, greedy, price };
}
