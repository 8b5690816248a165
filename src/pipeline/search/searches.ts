import { type EvoPressState, evoPress } from '../../allocation/evopress.js';
import { knapsack } from '../../allocation/knapsack.js';
import { layerDp } from '../../allocation/layer-dp.js';
import type { Allocation, Choice } from '../../allocation/table.js';
import { TersorError } from '../../errors.js';
import type { Referee } from '../../evaluation/referee.js';
import type { Hooks } from '../hooks.js';
import { keyOf, type Store } from './store.js';

/** What searches work on. */
export interface SearchTask {
  readonly choices: readonly Choice[];
  /** Bytes at most. */
  readonly budget: number;
  /** Mean divergence of the model with these levels on about so many tokens, and its standard error. */
  readonly judge: (
    allocation: Allocation,
    tokens?: number,
  ) => Promise<{ readonly value: number; readonly error: number }>;
  readonly store: Store;
  readonly referee: Referee;
  readonly hooks: Hooks;
}

/** A way to choose a level for every tensor. */
export interface Search {
  readonly name: string;
  /** The row of the catalogue of methods. */
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  run(task: SearchTask): Promise<Allocation>;
}

// A generation measures 8 × 512 + 2 × 2048 tokens: all of them together cost about as much as solving the model.
const evolution = { generations: 16, offspring: 8, tokens: [512, 2048], survivors: [2] };

/** Every search, in the order of the catalogue. */
export const searches: readonly Search[] = [
  {
    name: 'knapsack',
    id: 'A1',
    title: 'Exact: the least sum of damages within the budget',
    paper: 'Hubara et al., AdaQuant, 2020, arXiv:2006.10518; Pisinger, 1995',
    run: async ({ choices, budget }) => knapsack(choices, budget),
  },
  {
    name: 'dynamic',
    id: 'A2',
    title: 'Dynamic programming over sizes',
    paper: 'Xu et al., Layer-adaptive weight pruning, 2023, arXiv:2308.10438',
    run: async ({ choices, budget }) => layerDp(choices, budget),
  },
  {
    name: 'evopress',
    id: 'A4',
    title: 'EvoPress: evolves the knapsack’s choice by the measured divergence of the whole model',
    paper: 'Sieberling et al., 2024, arXiv:2410.14649',
    run: evolve,
  },
];

/** @throws TersorError that lists the names if there is no such search */
export function findSearch(name = 'knapsack'): Search {
  const found = searches.find((search) => search.name === name);
  if (found) return found;
  throw new TersorError(`there is no search ${name}`, {
    remedy: `choose one of ${searches.map((search) => search.name).join(', ')}`,
  });
}

/** Keeps its state in the store after every generation, and goes on from there. */
async function evolve({ choices, budget, judge, store, referee, hooks }: SearchTask): Promise<Allocation> {
  const key = keyOf('evopress', referee.fingerprint, JSON.stringify([choices, budget, evolution]));
  const known = await store.get(key);
  const state: EvoPressState | undefined = known && JSON.parse(new TextDecoder().decode(known));
  return evoPress(
    choices,
    budget,
    async (allocation, tokens) => (await judge(allocation, tokens)).value,
    evolution,
    {
      ...(state ? { state } : {}),
      async onState(next) {
        hooks.progress?.('evolve', next.generation, evolution.generations);
        await store.put(key, new TextEncoder().encode(JSON.stringify(next)));
      },
    },
  );
}
