import { knapsack } from '../allocation/knapsack.js';
import { type Choice, smallest } from '../allocation/table.js';
import type { TensorSpec } from '../architecture/architecture.js';
import { TersorError } from '../errors.js';
import { compare } from '../evaluation/compare.js';
import { predict } from '../evaluation/predictor.js';
import type { Grid } from '../grid/grid.js';
import { findDamageMeasure } from '../sensitivity/index.js';
import type { OutputFormat } from './formats.js';
import type { Hooks } from './hooks.js';
import type { Job, Materials } from './job.js';
import { type SolvedLevel, solveLevels, type TensorLevels } from './levels.js';
import { mixture } from './mixture.js';
import type { CompressOptions } from './options.js';
import { candidateGrids, type Prediction, type SearchResult } from './plan.js';
import { defaultStoreFolder, openStore, type Store } from './store.js';
import type { TensorRecipe } from './tensor.js';
import type { Workshop } from './workshop.js';

export const allocateDefaults = { damage: 'divergence', tokens: 16384, probeTokens: 2048 } as const;

/**
 * Finds types for the size asked for and drafts the job with them. What a file has besides its tensors' data may
 * depend on the types' names, so a draft that came out too large is made again with less.
 * @throws TersorError that names the smallest reachable size when the size asked for is below it
 */
export async function allocate(
  shop: Workshop,
  materials: Materials,
  recipe: TensorRecipe,
  options: CompressOptions,
  hooks: Hooks,
  draft: (types: ReadonlyMap<TensorSpec, string>, found?: SearchResult) => Job,
): Promise<Job> {
  const started = performance.now();
  const table = await levelTable(shop, materials, recipe, options, hooks);
  const { unit, budget, measure } = goal(options, materials.format);
  const least = draft(typesOf(search(table, unit, 'smallest')));
  if (measure(least) > budget(least)) throw unreachable(options, least);
  let allowed = budget(least) - measure(least) + stored(least, unit);
  for (;;) {
    const chosen = search(table, unit, allowed);
    const job = draft(typesOf(chosen));
    const excess = measure(job) - budget(job);
    if (excess > 0) {
      allowed = Math.min(allowed, stored(job, unit)) - excess;
      continue;
    }
    const prediction = await predictDivergence(shop, table, materials, chosen);
    return draft(typesOf(chosen), {
      damage: options.damage ?? allocateDefaults.damage,
      ...prediction,
      seconds: (performance.now() - started) / 1000,
    });
  }
}

/** What is limited, in units of bytes. */
interface Goal {
  /** Tensors count as multiples of so many bytes. */
  readonly unit: number;
  /** What a job takes of the budget. */
  measure(job: Job): number;
  budget(job: Job): number;
}

function goal({ size, bits = 0 }: CompressOptions, { alignment }: OutputFormat): Goal {
  if (size !== undefined) return { unit: alignment, measure: ({ plan }) => plan.bytes, budget: () => size };
  const elements = (job: Job) => job.assignments.reduce((sum, tensor) => sum + tensor.elements, 0);
  return {
    unit: 1,
    measure: (job) => stored(job, 1),
    budget: (job) => Math.floor((bits * elements(job)) / 8),
  };
}

/** Bytes of all tensors, each a multiple of the unit. */
const stored = ({ assignments }: Job, unit: number): number =>
  assignments.reduce((sum, { bytes }) => sum + Math.ceil(bytes / unit) * unit, 0);

const typesOf = (chosen: ReadonlyMap<TensorSpec, SolvedLevel>) =>
  new Map([...chosen].map(([spec, { type }]) => [spec, type]));

function unreachable({ size, bits, overrides = [] }: CompressOptions, { plan }: Job): TersorError {
  const [asked, least] =
    size === undefined
      ? [`${bits} bits per weight`, `${Math.ceil(plan.bitsPerWeight * 1000) / 1000}`]
      : [`${size} bytes`, `${plan.bytes}`];
  const bound = overrides.length > 0 ? ' with these overrides' : '';
  return new TersorError(`${asked} cannot be reached: the smallest possible${bound} is ${least}`, {
    file: plan.model,
    remedy: `ask for ${least} or more${bound ? ', drop an override' : ''}, or allow smaller types with --types`,
  });
}

/**
 * The level table of a model: every tensor solved at every type that the output can hold, with the damage that it
 * does.
 */
export interface LevelTable {
  readonly store: Store;
  readonly tensors: readonly TensorLevels[];
}

export async function levelTable(
  shop: Workshop,
  materials: Materials,
  recipe: TensorRecipe,
  options: CompressOptions,
  hooks: Hooks,
): Promise<LevelTable> {
  const { model, format, calibration } = materials;
  const store = await openStore(options.store ?? defaultStoreFolder);
  const candidates = model.architecture.tensors.map((spec) => ({
    spec,
    name: format.nameOf(model, spec),
    grids: candidateGrids(model, format, spec, options),
  }));
  const tensors = await solveLevels(
    shop,
    store,
    {
      model,
      candidates,
      recipe,
      calibration: every(calibration.sequences, allocateDefaults.tokens),
      probes: probeText(materials),
      probed,
    },
    hooks,
  );
  const measure = findDamageMeasure(options.damage ?? allocateDefaults.damage);
  return {
    store,
    tensors: tensors.map((tensor) => {
      const damage = measure.damage(tensor);
      return { ...tensor, levels: tensor.levels.map((level, i) => ({ ...level, damage: damage[i] ?? 0 })) };
    }),
  };
}

/** Chooses a level for every tensor so that together they have at most so many bytes. */
function search(
  table: LevelTable,
  unit: number,
  budget: number | 'smallest',
): ReadonlyMap<TensorSpec, SolvedLevel> {
  const choices = table.tensors.map(
    ({ name, levels }): Choice => ({
      name,
      levels: levels.map((level) => ({ ...level, bytes: Math.ceil(level.bytes / unit) * unit })),
    }),
  );
  const { levels } = budget === 'smallest' ? smallest(choices) : knapsack(choices, budget);
  return new Map(
    table.tensors.flatMap(({ spec, levels: all }, tensor) => {
      const level = all[levels[tensor] ?? -1];
      return level ? [[spec, level] as const] : [];
    }),
  );
}

/** What the chosen levels do to the model together. */
export async function predictDivergence(
  shop: Workshop,
  { store }: LevelTable,
  materials: Materials,
  chosen: ReadonlyMap<TensorSpec, SolvedLevel>,
): Promise<Prediction> {
  const { model } = materials;
  const text = probeText(materials);
  const expected = await predict(model, text, shop);
  const actual = await predict(mixture(shop, store, model, chosen), text, shop);
  const { divergence } = await compare(text, actual, expected, shop);
  return {
    divergence: divergence?.mean ?? Number.NaN,
    uncertainty: 2 * (divergence?.standardError ?? Number.NaN),
  };
}

/** Text that damage is measured on, not calibrated on where there is enough. */
function probeText({ calibration: { heldOut, sequences } }: Materials): readonly Int32Array[] {
  return every(heldOut.length > 0 ? heldOut : sequences, allocateDefaults.probeTokens);
}

/** Sequences evenly spread over a text, of so many tokens at most. */
function every(sequences: readonly Int32Array[], tokens: number): Int32Array[] {
  const count = Math.max(1, Math.floor(tokens / (sequences[0]?.length ?? 1)));
  if (count >= sequences.length) return [...sequences];
  return Array.from(
    { length: count },
    (_, i) => sequences[Math.floor((i * sequences.length) / count)] ?? new Int32Array(),
  );
}

/** The smallest level and one of about four and a half bits: between them lie most of those that are chosen. */
function probed(grids: readonly Grid[]): readonly Grid[] {
  const coded = grids.filter(({ levels }) => levels.kind !== 'cast');
  if (coded.length < 2) return [];
  const bits = ({ blockBytes, blockSize }: Grid) => (8 * blockBytes) / blockSize;
  const nearest = (target: number) =>
    coded.toSorted((a, b) => Math.abs(bits(a) - target) - Math.abs(bits(b) - target))[0];
  return [...new Set([nearest(0), nearest(4.5)])].flatMap((grid) => grid ?? []);
}
