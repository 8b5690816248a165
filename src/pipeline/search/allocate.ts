import { type Allocation, type Choice, smallest } from '../../allocation/table.js';
import type { TensorSpec } from '../../architecture/architecture.js';
import { TersorError } from '../../errors.js';
import type { OutputFormat } from '../formats.js';
import type { Hooks } from '../hooks.js';
import type { Job, Materials } from '../job.js';
import type { CompressOptions } from '../options.js';
import type { SearchResult } from '../plan.js';
import type { TensorRecipe } from '../tensor.js';
import type { Workshop } from '../workshop.js';
import type { SolvedLevel } from './levels.js';
import { mixture } from './mixture.js';
import { findSearch } from './searches.js';
import { defaultDamage, type LevelTable, levelTable } from './table.js';

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
  const search = findSearch(options.search);
  const { unit, budget, measure } = goal(options, materials.format);
  const table = await levelTable(shop, materials, recipe, options, hooks);
  try {
    const choices = choicesOf(table, unit);
    const least = draft(typesOf(pick(table, smallest(choices))));
    if (measure(least) > budget(least)) throw unreachable(options, least);
    const judge = async (allocation: Allocation, tokens?: number) => {
      const changed = mixture(shop, table.store, materials.model, pick(table, allocation));
      const { mean, standardError } = await table.referee.model(changed, tokens);
      return { value: mean, error: standardError };
    };
    let allowed = budget(least) - measure(least) + stored(least, unit);
    for (;;) {
      const allocation = await search.run({ choices, budget: allowed, judge, ...table, hooks });
      const types = typesOf(pick(table, allocation));
      const job = draft(types);
      const excess = measure(job) - budget(job);
      if (excess > 0) {
        allowed = Math.min(allowed, stored(job, unit)) - excess;
        continue;
      }
      const { value, error } = await judge(allocation);
      return draft(types, {
        search: search.name,
        damage: options.damage ?? defaultDamage,
        divergence: value,
        uncertainty: 2 * error,
        seconds: (performance.now() - started) / 1000,
      });
    }
  } finally {
    await table.referee.release();
  }
}

/** The table as searches want it: tensors count as multiples of `unit` bytes. */
function choicesOf({ tensors }: LevelTable, unit: number): Choice[] {
  return tensors.map(({ name, levels }) => ({
    name,
    levels: levels.map((level) => ({ ...level, bytes: Math.ceil(level.bytes / unit) * unit })),
  }));
}

/** The level that an allocation gives to every tensor. */
function pick({ tensors }: LevelTable, { levels }: Allocation): ReadonlyMap<TensorSpec, SolvedLevel> {
  return new Map(
    tensors.flatMap(({ spec, levels: all }, tensor) => {
      const level = all[levels[tensor] ?? -1];
      return level ? [[spec, level] as const] : [];
    }),
  );
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
