import { createRandom } from '../random.js';

export interface SamplingOptions {
  /** 0 takes the likeliest token each time; 0.8 by default. */
  readonly temperature?: number;
  /** Draws from the likeliest tokens that have this probability together; 0.95 by default. */
  readonly topP?: number;
  /** Draws from this many likeliest tokens; 40 by default. */
  readonly topK?: number;
  /** Seed of the draws; 1 by default. */
  readonly seed?: number;
}

/**
 * Chooses next tokens from logits: the likeliest `topK`, of these the likeliest that together have `topP`, of these one
 * by its probability at the temperature; in this order, as llama.cpp does. A new sampler begins its draws anew.
 */
export function createSampler(options: SamplingOptions = {}): (logits: Float32Array) => number {
  const { temperature = 0.8, topP = 0.95, topK = 40, seed = 1 } = options;
  const random = createRandom(seed);
  return (logits) => {
    const likeliest = largest(logits, temperature > 0 ? topK : 1);
    const [best = 0] = likeliest;
    if (temperature <= 0) return best;
    const top = logits[best] ?? 0;
    const weights = (scale: number) => likeliest.map((id) => Math.exp(((logits[id] ?? 0) - top) / scale));
    const plain = weights(1);
    const limit = topP * sum(plain);
    let kept = 0;
    for (let mass = 0; kept < plain.length && mass < limit; kept++) mass += plain[kept] ?? 0;
    const drawn = weights(temperature).slice(0, Math.max(1, kept));
    let rest = random.next() * sum(drawn);
    const index = drawn.findIndex((weight) => {
      rest -= weight;
      return rest < 0;
    });
    return likeliest[index] ?? best;
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Indices of the `count` largest values, the largest first; of equal ones the first. */
function largest(values: Float32Array, count: number): number[] {
  const found: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < values.length; index++) {
    const value = values[index] ?? Number.NEGATIVE_INFINITY;
    if (found.length === count && value <= least) continue;
    let at = found.length;
    while (at > 0 && (values[found[at - 1] ?? 0] ?? 0) < value) at--;
    found.splice(at, 0, index);
    if (found.length > count) found.pop();
    least = values[found.at(-1) ?? 0] ?? least;
  }
  return found;
}
