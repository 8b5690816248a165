import type { Settings } from '../../allocation/bayesian.js';
import type { Objective, TensorSpec } from '../../architecture/architecture.js';
import type { Grid } from '../../grid/grid.js';
import type { FormatName } from '../formats/names.js';
import type { Parts } from './parts.js';
import { type Recipe, type RecipeFile, recipeFormat } from './recipe.js';

/** What will become of one tensor. */
export interface PlannedTensor {
  /** As the output calls it. */
  readonly name: string;
  readonly type: string;
  /** What was asked for; differs from `type` where a fallback stepped in. */
  readonly requestedType: string;
  readonly bytes: number;
  readonly elements: number;
  /** Why the requested type cannot hold it. */
  readonly reason?: string;
}

/** A planned tensor with what it takes to carry the plan out. */
export interface Assignment extends PlannedTensor {
  readonly spec: TensorSpec;
  readonly grid: Grid;
}

/** Everything about the file to come that is known before work starts. */
export interface Plan {
  readonly model: string;
  readonly architecture: string;
  readonly tensors: readonly PlannedTensor[];
  /** Tensors that the requested type cannot hold while no fallback is given. */
  readonly problems: readonly PlannedTensor[];
  /** Exact size of the file. */
  readonly bytes: number;
  readonly originalBytes: number;
  readonly bitsPerWeight: number;
  /** What layers and embedding take of it. */
  readonly parts: Parts;
  readonly format: FormatName;
  readonly recipe: Recipe;
  /** How the types were found, where only a size was asked for. */
  readonly search?: SearchResult;
  /** What the model would lose, where it was asked for; a search says so in any case. */
  readonly prediction?: Prediction;
  /** How the recipe was found, where it was to be tuned. */
  readonly tuning?: Tuning;
}

/** What the finished model is expected to lose. */
export interface Prediction {
  /** What the model is for, and with it what `divergence` is. */
  readonly objective: Objective;
  /** Mean on held-out text: KL divergence in nats per token, or of an encoder one less the cosine. */
  readonly divergence: number;
  /** How far it may be off, either way. */
  readonly uncertainty: number;
}

/** What a search for types did, and what it expects of them. */
export interface SearchResult extends Prediction {
  readonly search: string;
  readonly sensitivity: string;
  /** What the search has to say of its result. */
  readonly note?: string;
  /** What the search itself took. */
  readonly seconds: number;
}

/** A recipe that was tried. */
export interface TunedRecipe {
  /** Values of the settings that are tuned, by name. */
  readonly settings: Settings;
  /** Mean divergence on text that calibration did not see, nats per token. */
  readonly divergence: number;
}

/** What came of looking for a better recipe. */
export interface Tuning {
  /** In the order in which they were tried; the first is the recipe without tuning. */
  readonly trials: readonly TunedRecipe[];
  /** Index of the trial that was chosen. */
  readonly chosen: number;
  /** Tokens scored for each. */
  readonly tokens: number;
  readonly seconds: number;
}

/** The file that repeats a plan. */
export function recipeFile({ model, tensors, recipe, format }: Plan): RecipeFile {
  return {
    format: recipeFormat,
    model,
    output: format,
    recipe,
    types: Object.fromEntries(tensors.map(({ name, type }) => [name, type])),
  };
}
