import { type EvoPressOptions, type EvoPressState, evoPress } from '../../allocation/evopress.js';
import { allocateFamilies } from '../../allocation/families.js';
import { searchOptions } from '../../allocation/index.js';
import { allocateInteracting, type InteractionOptions } from '../../allocation/interactions.js';
import { type KnapsackOptions, knapsack } from '../../allocation/knapsack.js';
import { type LayerDpOptions, layerDp } from '../../allocation/layer-dp.js';
import type { Allocation, Choice } from '../../allocation/table.js';
import { TersorError } from '../../errors.js';
import type { Referee } from '../../evaluation/referee.js';
import { findGrid } from '../../grid/index.js';
import type { Hooks } from '../hooks.js';
import { measurePairs } from './pairs.js';
import { keyOf, type Store } from './store.js';

/** What searches work on. */
export interface SearchTask {
  readonly choices: readonly Choice[];
  /** Bytes at most. */
  readonly budget: number;
  /** Expected divergence of the model with these levels, on about so many tokens, and its standard error. */
  readonly judge: (
    allocation: Allocation,
    tokens?: number,
  ) => Promise<{ readonly value: number; readonly error: number }>;
  readonly store: Store;
  readonly referee: Referee;
  readonly hooks: Hooks;
}

type Search = (task: SearchTask, options: Readonly<Record<string, unknown>>) => Promise<Allocation>;

/**
 * A generation of these measures 8 × 512 + 2 × 2048 tokens: all of them together cost about as much as solving a
 * model does.
 */
const evolution = { generations: 16, offspring: 8, tokens: [512, 2048], survivors: [2] };

/** The searches that a budget can be given to, by their names in the table of src/allocation. */
const searches: Readonly<Record<string, Search>> = {
  knapsack: async ({ choices, budget }, options) =>
    knapsack(choices, budget, options as Partial<KnapsackOptions>),
  'layer-dp': async ({ choices, budget }, options) =>
    layerDp(choices, budget, options as Partial<LayerDpOptions>),
  evopress: (task, options) => evolve(task, { ...evolution, ...options }),
  families: async ({ choices, budget }) => allocateFamilies(choices, budget, familyOf).together,
  interactions: async (task, options) =>
    allocateInteracting(
      task.choices,
      await measurePairs(task),
      task.budget,
      options as Partial<InteractionOptions>,
    ),
};

export const defaultSearch = 'knapsack';

/**
 * @throws TersorError when a budget cannot be given to a search of this name, or it does not take these options
 */
export function findSearch(
  name = defaultSearch,
  options: Readonly<Record<string, unknown>> = {},
): (task: SearchTask) => Promise<Allocation> {
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
): Promise<Allocation> {
  const key = keyOf('evopress', referee.fingerprint, JSON.stringify([choices, budget, options]));
  const known = await store.get(key);
  const state: EvoPressState | undefined = known && JSON.parse(new TextDecoder().decode(known));
  const fitness = async (allocation: Allocation, tokens: number) => (await judge(allocation, tokens)).value;
  return evoPress(choices, budget, fitness, options, {
    ...(state ? { state } : {}),
    async onState(next) {
      hooks.progress?.('evolve', next.generation, options.generations ?? next.generation);
      await store.put(key, new TextEncoder().encode(JSON.stringify(next)));
    },
  });
}

/** Whether a type's levels are those of a float format. */
const familyOf = ({ type }: { readonly type: string }): string => {
  const { levels } = findGrid(type);
  return levels.kind === 'cast' || /^(fp|mxfp|nvfp)/.test(type) ? 'float' : 'integer';
};
