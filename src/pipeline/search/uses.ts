import { evolution } from './evolve.js';
import { measurements } from './front.js';

/** How a search of the table is reached, and what is different about its options there. */
export interface SearchUse {
  readonly use: string;
  /** In the place of the search's own. */
  readonly defaults?: Readonly<Record<string, unknown>>;
  /** Its options cannot be set. */
  readonly fixed?: true;
}

const forSize = (name: string) => `--search ${name}`;

/** By the names of src/allocation's table. */
export const searchUses: Readonly<Record<string, SearchUse>> = {
  knapsack: { use: forSize('knapsack') },
  'layer-dp': { use: forSize('layer-dp') },
  bisection: { use: '--max-divergence' },
  evopress: { use: forSize('evopress'), defaults: evolution },
  families: { use: forSize('families') },
  front: { use: 'tersor plan --front', defaults: { measurements } },
  bayesian: { use: '--tune N', fixed: true },
  bandit: { use: 'inside evopress', fixed: true },
  interactions: { use: forSize('interactions') },
};
