/** A source of random numbers that is the same in every run and can be stored and gone on with. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number;
  /** A whole number in [0, below). */
  integer(below: number): number;
  /** Standard normal (Box and Muller). */
  normal(): number;
  /** A copy in random order. */
  shuffle<T>(values: readonly T[]): T[];
  /** What `createRandom` takes to go on from here: a 32-bit integer. */
  state(): number;
}

/** mulberry32: 32 bits of state, plenty for searches of some million steps; not for cryptography. */
export function createRandom(seed: number): Random {
  let state = seed | 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let z = Math.imul(state ^ (state >>> 15), 1 | state);
    z = (z + Math.imul(z ^ (z >>> 7), 61 | z)) ^ z;
    return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (below: number) => Math.floor(next() * below);
  return {
    next,
    integer,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    shuffle(values) {
      const keys = values.map(() => next());
      const order = [...keys.keys()].sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || a - b);
      return order.flatMap((index) => values.slice(index, index + 1));
    },
    state: () => state,
  };
}
