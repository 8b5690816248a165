import { correctLosses, type Measured } from '../../allocation/correction.js';
import { type EvoPressOptions, type EvoPressState, evoPress } from '../../allocation/evopress.js';
import { knapsack } from '../../allocation/knapsack.js';
import { type Allocation, type Choice, total } from '../../allocation/table.js';
import { createRandom } from '../../random.js';
import { required } from '../../required.js';
import { codeVersion } from '../../version.js';
import { checkAborted } from '../context/hooks.js';
import { keyOf } from '../context/store.js';
import { average, difference } from './paired.js';
import type { FoundAllocation, SearchTask } from './task.js';

/**
 * A generation predicts 16 mutants and a newcomer, and compresses two of them as level tables are: all of them together
 * cost a few times what compressing the model for good does.
 */
export const evolution = {
  generations: 6,
  offspring: 16,
  tokens: [0, 40960],
  survivors: [2],
  /** Compressed for good at the end, beside the allocation that the search started from. */
  finalists: 8,
};

/** What a search of several generations remembers between them: plain JSON. */
interface Memory {
  readonly state: EvoPressState;
  readonly measured: readonly Measured[];
}

/**
 * EvoPress whose fitness is that of finished models: the last selection of a generation compresses its candidates with
 * the table's solver, since mixtures of levels that were solved apart do not tell how well later layers make up for what
 * earlier ones lose (docs/results/sizes.md, “Planning”). Each of these corrects the losses by which selections on 0 tokens
 * predict, and by which every generation gets a newcomer: the best for losses drawn from what is still possible.
 *
 * At the end the most promising are compressed as the recipe says, and one of them takes the place of the start when it is
 * better by more than the standard error of their difference. There are many of them, because rounding takes another way
 * through every finished model: what the table's solver found good is seldom as good for another. The state is kept in
 * the store after every generation.
 */
export async function evolve(
  { choices, budget, measureAllocation, tryAllocation, store, evaluator, hooks }: SearchTask,
  given: Partial<Evolution>,
): Promise<FoundAllocation> {
  const { finalists, ...options } = { ...evolution, ...given };
  // More generations go on from where fewer have ended.
  const { generations: _, ...lasting } = options;
  const task = JSON.stringify([choices, budget, lasting]);
  const key = keyOf('evolve', codeVersion(), evaluator.fingerprint, tryAllocation.identity, task);
  const known = await store.get(key);
  const memory: Memory | undefined = known && JSON.parse(new TextDecoder().decode(known));
  let measured = memory?.measured ?? [];
  const most = options.tokens.at(-1) ?? 0;
  const start = knapsack(choices, budget);
  const prior = { labels: choices.map(({ name }) => [blockOf(name)]) };
  let believed: readonly Choice[] = choices;

  const fitness = async (allocation: Allocation, tokens: number) => {
    if (tokens === 0) return total(believed, allocation.levels).loss;
    if (tokens < most) return (await measureAllocation(allocation, tokens)).value;
    const value = average(await tryAllocation.quick(allocation, tokens));
    measured = [...measured, { levels: allocation.levels, value }];
    return value;
  };
  await evoPress(choices, budget, fitness, options, {
    start: start.levels,
    ...(memory ? { state: memory.state } : {}),
    immigrant(generation) {
      const random = createRandom(1 + generation + 1000 * (options.seed ?? 0));
      believed = correctLosses(choices, measured, prior, random);
      return total(choices, knapsack(believed, budget).levels);
    },
    async onState(state) {
      await store.put(key, new TextEncoder().encode(JSON.stringify({ state, measured } satisfies Memory)));
      hooks.progress?.('evolve', state.generation, options.generations);
      checkAborted(hooks);
    },
  });

  const corrected = correctLosses(choices, measured, prior);
  const candidates = unlike(start.levels, [
    knapsack(corrected, budget).levels,
    ...promising(corrected, measured),
  ]).slice(0, finalists);
  const before = await tryAllocation.full(start);
  let best: { readonly allocation: Allocation; readonly positions: Float32Array } = {
    allocation: start,
    positions: before,
  };
  for (const [index, levels] of candidates.entries()) {
    const allocation = total(choices, levels);
    const positions = await tryAllocation.full(allocation);
    hooks.progress?.('tryAllocation', index + 1, candidates.length);
    const { mean, standardError } = difference(positions, before);
    if (mean < -standardError && average(positions) < average(best.positions))
      best = { allocation, positions };
  }
  return {
    ...best.allocation,
    note: describe(measured.length, candidates.length + 1, before, best.positions),
  };
}

interface Evolution extends Partial<EvoPressOptions> {
  readonly generations: number;
  readonly tokens: readonly number[];
  readonly finalists: number;
}

/** What later layers make up for is much the same for all tensors of a block. */
const blockOf = (name: string): string => /\.\d+\./.exec(name)?.[0] ?? name;

/**
 * Allocations that were measured, the best first by the mean of their measured and their predicted value: near the optimum
 * half of what tells two measurements apart is due to the way that rounding took.
 */
export function promising(
  corrected: readonly Choice[],
  measured: readonly Measured[],
): (readonly number[])[] {
  const predicted = measured.map(({ levels }) => total(corrected, levels).loss);
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
  const scale = sum(measured.map(({ value }) => value)) / sum(predicted);
  return measured
    .map(({ levels, value }, index) => ({ levels, value: value + scale * required(predicted, index) }))
    .sort((a, b) => a.value - b.value)
    .map(({ levels }) => levels);
}

/** Those that differ from one allocation and from each other, in their order. */
function unlike(one: readonly number[], others: readonly (readonly number[])[]): (readonly number[])[] {
  const unique = new Map(others.map((levels) => [levels.join(), levels]));
  unique.delete(one.join());
  return [...unique.values()];
}

function describe(tried: number, finished: number, before: Float32Array, after: Float32Array): string {
  const [old, now] = [average(before), average(after)].map((value) => value.toPrecision(3));
  const work = `${tried} models compressed on fewer tokens, ${finished} for good`;
  if (before === after) return `${work}: none better beyond doubt than that of knapsack, divergence ${old}`;
  const { mean, standardError } = difference(after, before);
  const share = (value: number) => ((100 * value) / average(before)).toFixed(1);
  return `${work}: divergence ${old} → ${now} (−${share(-mean)} ± ${share(standardError)} %)`;
}
