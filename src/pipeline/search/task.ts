import type { Allocation, Choice } from '../../allocation/table.js';
import type { Referee } from '../../evaluation/referee.js';
import type { Hooks } from '../hooks.js';
import type { Store } from '../store.js';
import type { Judge } from './judge.js';

/** Compresses a model with an allocation: its divergence at every judged position (src/pipeline/search/rehearsal.ts). */
export interface RehearseAllocation {
  /** Changes with everything but the allocation that results depend on. */
  readonly identity: string;
  quick(allocation: Allocation, tokens: number): Promise<Float32Array>;
  full(allocation: Allocation): Promise<Float32Array>;
}

/** What searches work on. */
export interface SearchTask {
  readonly choices: readonly Choice[];
  /** Bytes at most. */
  readonly budget: number;
  readonly judge: Judge;
  readonly rehearse: RehearseAllocation;
  readonly store: Store;
  readonly referee: Referee;
  readonly hooks: Hooks;
}

/** An allocation, and what there is to say of it. */
export interface Found extends Allocation {
  readonly note?: string;
}
