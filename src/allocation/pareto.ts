/** Objectives of a point, all to be small. */
export type Objectives = readonly number[];

/** Whether a is nowhere worse than b and somewhere better. */
export function dominates(a: Objectives, b: Objectives): boolean {
  let better = false;
  for (const [index, value] of a.entries()) {
    const other = b[index] ?? 0;
    if (value > other) return false;
    if (value < other) better = true;
  }
  return better;
}

/**
 * Fronts of points, as indices: the first is dominated by none, the next only by the first, and so on (fast
 * non-dominated sorting; Deb et al., 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II").
 */
export function sortFronts(points: readonly Objectives[]): number[][] {
  const beats: number[][] = points.map(() => []);
  const beatenBy = points.map(() => 0);
  for (let a = 0; a < points.length; a++) {
    for (let b = 0; b < points.length; b++) {
      if (!dominates(points[a] ?? [], points[b] ?? [])) continue;
      beats[a]?.push(b);
      beatenBy[b] = (beatenBy[b] ?? 0) + 1;
    }
  }
  const fronts: number[][] = [];
  let front = [...points.keys()].filter((index) => beatenBy[index] === 0);
  while (front.length > 0) {
    fronts.push(front);
    const next: number[] = [];
    for (const index of front) {
      for (const other of beats[index] ?? []) {
        beatenBy[other] = (beatenBy[other] ?? 0) - 1;
        if (beatenBy[other] === 0) next.push(other);
      }
    }
    front = next;
  }
  return fronts;
}

/** How alone each point of a front stands: the perimeter to its neighbours, Infinity at the ends (ibid.). */
export function crowding(points: readonly Objectives[]): number[] {
  const result = points.map(() => 0);
  const objectives = points[0]?.length ?? 0;
  for (let objective = 0; objective < objectives; objective++) {
    const value = (index: number | undefined) => points[index ?? 0]?.[objective] ?? 0;
    const order = [...points.keys()].sort((a, b) => value(a) - value(b) || a - b);
    const range = value(order.at(-1)) - value(order[0]) || 1;
    for (const [place, index] of order.entries()) {
      const inside = place > 0 && place < order.length - 1;
      const gap = inside ? (value(order[place + 1]) - value(order[place - 1])) / range : Infinity;
      result[index] = (result[index] ?? 0) + gap;
    }
  }
  return result;
}
