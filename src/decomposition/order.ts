/** One refinement of a tensor, and what it is worth. */
export interface Candidate {
  readonly tensor: number;
  readonly refinement: number;
  readonly bytes: number;
  /** By how much it lowers the model's divergence. */
  readonly gain: number;
}

/**
 * The order in which refinements come: the first of every tensor, without which the model says nothing, as they are
 * given; then by gain per byte (Wang et al., 2024, section 3.3), none before the one that it refines.
 */
export function byGain<T extends Candidate>(candidates: readonly T[]): T[] {
  const first = candidates.filter(({ refinement }) => refinement === 0);
  const later = candidates.filter(({ refinement }) => refinement > 0);
  const densities = new Map<T, number>();
  const reached = new Map<number, number>();
  for (const each of later.toSorted((a, b) => a.refinement - b.refinement)) {
    const density = Math.min(each.gain / each.bytes, reached.get(each.tensor) ?? Number.POSITIVE_INFINITY);
    reached.set(each.tensor, density);
    densities.set(each, density);
  }
  const density = (each: T) => densities.get(each) ?? 0;
  const ordered = later.toSorted(
    (a, b) => density(b) - density(a) || a.refinement - b.refinement || a.tensor - b.tensor,
  );
  return [...first, ...ordered];
}
