import type { Allocation, Choice } from '../../allocation/table.js';
import type { DivergenceEvaluator } from '../../evaluation/divergence-evaluator.js';
import type { Hooks } from '../context/hooks.js';
import type { Store } from '../context/store.js';
import type { MeasureAllocation } from './measure-allocation.js';

/** Compresses a model with an allocation: its divergence at every scored position (src/pipeline/search/trial-compression.ts). */
export interface TryAllocation {
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
  readonly measureAllocation: MeasureAllocation;
  readonly tryAllocation: TryAllocation;
  readonly store: Store;
  readonly evaluator: DivergenceEvaluator;
  readonly hooks: Hooks;
}

/** An allocation, and what there is to say of it. */
export interface FoundAllocation extends Allocation {
  readonly note?: string;
}
