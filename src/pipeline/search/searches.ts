import { type EvoPressOptions, type EvoPressState, evoPress } from '../../allocation/evopress.js';
import { allocateFamilies } from '../../allocation/families.js';
import { searchOptions } from '../../allocation/index.js';
import {
  allocateInteracting,
  type InteractionOptions,
  interactingDamage,
} from '../../allocation/interactions.js';
import { type KnapsackOptions, knapsack } from '../../allocation/knapsack.js';
import { type LayerDpOptions, layerDp } from '../../allocation/layer-dp.js';
import type { Allocation, Choice } from '../../allocation/table.js';
import { TersorError } from '../../errors.js';
import type { Referee } from '../../evaluation/referee.js';
import { findGrid } from '../../grid/index.js';
import type { Hooks } from '../hooks.js';
import type { Judge } from './judge.js';
import { measurePairs } from './pairs.js';
import { keyOf, type Store } from './store.js';

/** What searches work on. */
export interface SearchTask {
  readonly choices: readonly Choice[];
  /** Bytes at most. */
  readonly budget: number;
  readonly judge: Judge;
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
const evolution = { generations: 16, offspring: 8, tokens: [1024, 8192], survivors: [2] };

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
    return { ...together, note: `damage ${significant(together.damage)}; ${each.join(', ')}` };
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

/** Keeps its state in the store after every generation, and goes on from there. */
async function evolve(
  { choices, budget, judge, store, referee, hooks }: SearchTask,
  options: Partial<EvoPressOptions>,
): Promise<Found> {
  const key = keyOf('evopress', referee.fingerprint, JSON.stringify([choices, budget, options]));
  const known = await store.get(key);
  const state: EvoPressState | undefined = known && JSON.parse(new TextDecoder().decode(known));
  const fitness = async (allocation: Allocation, tokens: number) => (await judge(allocation, tokens)).value;
  const found = await evoPress(choices, budget, fitness, options, {
    ...(state ? { state } : {}),
    async onState(next) {
      hooks.progress?.('evolve', next.generation, options.generations ?? next.generation);
      await store.put(key, new TextEncoder().encode(JSON.stringify(next)));
    },
  });
  const { startFitness, fitness: last, evaluations } = found;
  return {
    ...found,
    note: `${evaluations} models measured, divergence ${significant(startFitness)} → ${significant(last)}`,
  };
}

const significant = (value: number) => value.toPrecision(3);

/** Whether a type's levels are those of a float format. */
const familyOf = ({ type }: { readonly type: string }): string => {
  const { levels } = findGrid(type);
  return levels.kind === 'cast' || /^(fp|mxfp|nvfp)/.test(type) ? 'float' : 'integer';
};
