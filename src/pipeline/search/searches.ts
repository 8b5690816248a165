import { type EvoPressOptions, type EvoPressState, evoPress } from '../../allocation/evopress.js';
import { allocateFamilies, countFamilies } from '../../allocation/families.js';
import { searchOptions } from '../../allocation/index.js';
import {
  allocateInteracting,
  type InteractionOptions,
  interactingDamage,
} from '../../allocation/interactions.js';
import { type KnapsackOptions, knapsack } from '../../allocation/knapsack.js';
import { type LayerDpOptions, layerDp } from '../../allocation/layer-dp.js';
import { type Allocation, type Choice, total } from '../../allocation/table.js';
import { TersorError } from '../../errors.js';
import type { Referee } from '../../evaluation/referee.js';
import { findGrid } from '../../grid/index.js';
import { checkAborted, type Hooks } from '../hooks.js';
import type { Judge } from './judge.js';
import { measurePairs } from './pairs.js';
import type { Rehearse } from './rehearsal.js';
import { keyOf, type Store } from './store.js';

/** What searches work on. */
export interface SearchTask {
  readonly choices: readonly Choice[];
  /** Bytes at most. */
  readonly budget: number;
  readonly judge: Judge;
  readonly rehearse: Rehearse;
  readonly store: Store;
  readonly referee: Referee;
  readonly hooks: Hooks;
}

/** An allocation, and what there is to say of it. */
export interface Found extends Allocation {
  readonly note?: string;
}

type Search = (task: SearchTask, options: Readonly<Record<string, unknown>>) => Promise<Found>;

/**
 * A generation of these measures 8 × 1024 + 2 × 8192 tokens: all of them together cost about as much as solving a
 * model does.
 */
export const evolution = { generations: 12, offspring: 8, tokens: [1024, 8192], survivors: [2] };

/** The searches that a budget can be given to, by their names in the table of src/allocation. */
const searches: Readonly<Record<string, Search>> = {
  knapsack: async ({ choices, budget }, options) =>
    knapsack(choices, budget, options as Partial<KnapsackOptions>),
  'layer-dp': async ({ choices, budget }, options) =>
    layerDp(choices, budget, options as Partial<LayerDpOptions>),
  evopress: (task, options) => evolve(task, { ...evolution, ...options }),
  families: async ({ choices, budget }) => {
    const { alone, together } = allocateFamilies(choices, budget, familyOf);
    const each = Object.entries(alone).map(([family, found]) =>
      found ? `${family}s alone ${significant(found.damage)}` : `${family}s alone do not fit`,
    );
    const counts = Object.entries(countFamilies(choices, together, familyOf)).map(
      ([family, count]) => `${count} tensors in ${family}s`,
    );
    const note = `${counts.join(', ')}: damage ${significant(together.damage)}; ${each.join(', ')}`;
    return { ...together, note };
  },
  interactions: async (task, options) => {
    const { choices, budget } = task;
    const pairs = await measurePairs(task);
    const found = allocateInteracting(choices, pairs, budget, options as Partial<InteractionOptions>);
    const { levels } = knapsack(choices, budget);
    const changed = levels.filter((level, tensor) => level !== found.levels[tensor]).length;
    const before = interactingDamage(choices, pairs, levels);
    return {
      ...found,
      note: `interactions changed ${changed} tensors: damage ${significant(before)} → ${significant(found.damage)}`,
    };
  },
};

export const defaultSearch = 'knapsack';

/**
 * @throws TersorError when a budget cannot be given to a search of this name, or it does not take these options
 */
export function findSearch(
  name = defaultSearch,
  options: Readonly<Record<string, unknown>> = {},
): (task: SearchTask) => Promise<Found> {
  const search = searches[name];
  if (!search) {
    throw new TersorError(`there is no search ${name} for a size`, {
      remedy: `choose one of ${Object.keys(searches).join(', ')}`,
    });
  }
  searchOptions(name, options);
  return (task) => search(task, options);
}

/** Of the models that were measured best, so many are compressed for good before one is chosen. */
const rehearsed = 6;

/** What a search of several generations remembers between them: plain JSON. */
interface Memory {
  readonly state: EvoPressState;
  /** The best allocations that were measured on the most tokens. */
  readonly elite: readonly { readonly levels: readonly number[]; readonly value: number }[];
}

/**
 * EvoPress, whose selections end with the real thing: the best of all measured mixtures, and what it started from,
 * are compressed as the recipe says, and the best of these is taken. Keeps its state in the store after every
 * generation, and goes on from there.
 */
async function evolve(
  { choices, budget, judge, rehearse, store, referee, hooks }: SearchTask,
  options: Partial<EvoPressOptions> & Pick<EvoPressOptions, 'tokens' | 'generations'>,
): Promise<Found> {
  const key = keyOf('evopress', referee.fingerprint, JSON.stringify([choices, budget, options]));
  const known = await store.get(key);
  const memory: Memory | undefined = known && JSON.parse(new TextDecoder().decode(known));
  let elite = memory?.elite ?? [];
  const most = options.tokens.at(-1);
  const start = knapsack(choices, budget);
  const fitness = async (allocation: Allocation, tokens: number) => {
    const { value } = await judge(allocation, tokens);
    const { levels } = allocation;
    if (tokens === most && !elite.some((other) => other.levels.join() === levels.join())) {
      elite = [...elite, { levels, value }].sort((a, b) => a.value - b.value).slice(0, rehearsed);
    }
    return value;
  };
  const { evaluations } = await evoPress(choices, budget, fitness, options, {
    start: start.levels,
    ...(memory ? { state: memory.state } : {}),
    async onState(state) {
      await store.put(key, new TextEncoder().encode(JSON.stringify({ state, elite } satisfies Memory)));
      hooks.progress?.('evolve', state.generation, options.generations);
      checkAborted(hooks);
    },
  });

  const before = await rehearse(start);
  let best: { readonly allocation: Allocation; readonly value: number } = {
    allocation: start,
    value: before,
  };
  for (const [index, { levels }] of elite.entries()) {
    const allocation = total(choices, levels);
    const value = await rehearse(allocation);
    hooks.progress?.('rehearse', index + 1, elite.length);
    if (value < best.value) best = { allocation, value };
  }
  return {
    ...best.allocation,
    note: `${evaluations} mixtures measured, ${elite.length} compressed: divergence ${significant(before)} → ${significant(best.value)}`,
  };
}

const significant = (value: number) => value.toPrecision(3);

/** Whether a type's levels are those of a float format. */
const familyOf = ({ type }: { readonly type: string }): string => {
  const { levels } = findGrid(type);
  return levels.kind === 'cast' || /^(fp|mxfp|nvfp)/.test(type) ? 'float' : 'integer';
};
