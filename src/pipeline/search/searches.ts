import { allocateFamilies, countFamilies } from '../../allocation/families.js';
import { searchOptions } from '../../allocation/index.js';
import {
  allocateInteracting,
  type InteractionOptions,
  interactingLoss,
} from '../../allocation/interactions.js';
import { type KnapsackOptions, knapsack } from '../../allocation/knapsack.js';
import { type LayerDpOptions, layerDp } from '../../allocation/layer-dp.js';
import { TersorError } from '../../errors.js';
import { findGrid } from '../../grid/index.js';
import { evolve } from './evolve.js';
import { measurePairs } from './pairs.js';
import type { FoundAllocation, SearchTask } from './task.js';

type Search = (task: SearchTask, options: Readonly<Record<string, unknown>>) => Promise<FoundAllocation>;

/** The searches that a budget can be given to, by their names in the table of src/allocation. */
const searches: Readonly<Record<string, Search>> = {
  knapsack: async ({ choices, budget }, options) =>
    knapsack(choices, budget, options as Partial<KnapsackOptions>),
  'layer-dp': async ({ choices, budget }, options) =>
    layerDp(choices, budget, options as Partial<LayerDpOptions>),
  evopress: evolve,
  families: async ({ choices, budget }) => {
    const { alone, together } = allocateFamilies(choices, budget, familyOf);
    const each = Object.entries(alone).map(([family, found]) =>
      found ? `${family}s alone ${significant(found.loss)}` : `${family}s alone do not fit`,
    );
    const counts = Object.entries(countFamilies(choices, together, familyOf)).map(
      ([family, count]) => `${count} tensors in ${family}s`,
    );
    const note = `${counts.join(', ')}: loss ${significant(together.loss)}; ${each.join(', ')}`;
    return { ...together, note };
  },
  interactions: async (task, options) => {
    const { choices, budget } = task;
    const pairs = await measurePairs(task);
    const found = allocateInteracting(choices, pairs, budget, options as Partial<InteractionOptions>);
    const { levels } = knapsack(choices, budget);
    const changed = levels.filter((level, tensor) => level !== found.levels[tensor]).length;
    const before = interactingLoss(choices, pairs, levels);
    return {
      ...found,
      note: `interactions changed ${changed} tensors: loss ${significant(before)} → ${significant(found.loss)}`,
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
): (task: SearchTask) => Promise<FoundAllocation> {
  const search = searches[name];
  if (!search) {
    throw new TersorError(`there is no search ${name} for a size`, {
      remedy: `choose one of ${Object.keys(searches).join(', ')}`,
    });
  }
  const settings = searchOptions(name, options);
  const given = Object.fromEntries(Object.keys(options).map((option) => [option, settings[option]]));
  return (task) => search(task, given);
}

const significant = (value: number) => value.toPrecision(3);

/** Whether a type's levels are those of a float format. */
const familyOf = ({ type }: { readonly type: string }): string => {
  const { levels } = findGrid(type);
  return levels.kind === 'cast' || /^(fp|mxfp|nvfp)/.test(type) ? 'float' : 'integer';
};
