import { type BisectionOptions, bisect } from '../../allocation/bisection.js';
import { searchOptions } from '../../allocation/index.js';
import { type Allocation, smallest } from '../../allocation/table.js';
import { matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import { TersorError } from '../../errors.js';
import { findSensitivityMeasure } from '../../sensitivity/index.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import type { OutputFormat } from '../formats/index.js';
import type { CompressOptions } from '../options.js';
import { candidateGrids, flagOf } from '../prepare/assign.js';
import type { Job, Materials } from '../prepare/job.js';
import type { SearchResult } from '../prepare/plan.js';
import type { Recipe } from '../prepare/recipe.js';
import { choicesOf, createAllocationMeasure, pick } from './measure-allocation.js';
import { keepFront } from './record.js';
import { defaultSearch, findSearch } from './searches.js';
import { defaultSensitivity, type LevelTable, levelTable } from './table/table.js';
import type { FoundAllocation, SearchTask, TryAllocation } from './task.js';
import { createTrialCompressor } from './trial-compression.js';

/**
 * Finds types for what was asked for and drafts the job with them.
 * @throws TersorError that names the smallest reachable size when the size asked for is below it, or the least
 *   reachable divergence
 */
export async function allocate(
  context: Context,
  materials: Materials,
  recipe: Recipe,
  options: CompressOptions,
  hooks: Hooks,
  draft: Draft,
): Promise<Job> {
  const started = performance.now();
  // Wrong names are said before what follows from sizes.
  const { search, find } = findGoalSearch(options);
  findSensitivityMeasure(options.sensitivity ?? defaultSensitivity);
  const bounded = withinBounds(materials, options, hooks, draft);
  const table = await levelTable(context, materials, options, hooks);
  const measureAllocation = createAllocationMeasure(context, materials.model, table, recipe);
  const compressor = createTrialCompressor(context, materials, table.store, options, hooks);
  const tryAllocation: TryAllocation = {
    identity: JSON.stringify(recipe),
    quick: (allocation, tokens) => compressor.quick(typesOf(table, allocation), recipe, tokens),
    full: (allocation) => compressor.full(typesOf(table, allocation), recipe),
  };
  try {
    const allocation = await find(
      { ...table, measureAllocation, tryAllocation, hooks },
      materials.format,
      bounded,
      draft,
    );
    const { value, error } = await measureAllocation(allocation);
    const { note } = allocation;
    const job = draft(typesOf(table, allocation), {
      search,
      sensitivity: options.sensitivity ?? defaultSensitivity,
      objective: materials.model.architecture.objective,
      divergence: value,
      uncertainty: 2 * error,
      ...(note ? { note } : {}),
      seconds: (performance.now() - started) / 1000,
    });
    await keepFront(table, job, allocation, search, value);
    return job;
  } finally {
    await Promise.all([table.evaluator.release(), compressor.release()]);
  }
}

/**
 * What can be asked for is known from shapes, before anything is solved.
 * @returns the options with no larger a size than the original's
 * @throws TersorError when even the smallest types take more
 */
function withinBounds(
  { model, format }: Materials,
  options: CompressOptions,
  { warn }: Hooks,
  draft: Draft,
): CompressOptions {
  const { size, bits } = options;
  if (size === undefined && bits === undefined) return options;
  const smallestTypes = model.architecture.tensors.map((spec) => {
    const [rows, cols] = matrixShape(spec);
    const grids = candidateGrids(model, format, spec, options);
    const { name } = grids.reduce((a, b) => (b.bytes(rows, cols) < a.bytes(rows, cols) ? b : a));
    return [spec, name] as const;
  });
  const least = draft(new Map(smallestTypes));
  const { measure, budget } = goal(options, format);
  if (measure(least) > budget(least)) throw unreachable(options, least);
  const largest = Math.max(least.plan.bytes, least.plan.originalBytes);
  if (size === undefined || size <= largest) return options;
  warn?.(`the original has ${largest} bytes: looking for the best model of that size, not of ${size}`);
  return { ...options, size: largest };
}

/** What every search has at hand. */
type SearchTools = LevelTable & Pick<SearchTask, 'measureAllocation' | 'tryAllocation' | 'hooks'>;

/**
 * The search for what was asked for, its options checked before any work.
 * @throws TersorError when there is no such search for this goal, or it does not take these options
 */
function findGoalSearch(options: CompressOptions): {
  readonly search: string;
  find: (
    tools: SearchTools,
    format: OutputFormat,
    bounded: CompressOptions,
    draft: Draft,
  ) => Promise<FoundAllocation>;
} {
  const { maxDivergence, search = maxDivergence === undefined ? defaultSearch : 'bisection' } = options;
  if (maxDivergence === undefined) {
    const chosen = findSearch(search, options.searchOptions);
    return {
      search,
      find: (tools, format, bounded, draft) => withinBudget(tools, chosen, format, bounded, draft),
    };
  }
  if (search !== 'bisection') {
    throw new TersorError(`--search ${search} does not look for the smallest size within a divergence`, {
      remedy:
        'leave --search out, which takes bisection, or give --size or --bits in place of --max-divergence',
    });
  }
  const settings = searchOptions(search, options.searchOptions) as Partial<BisectionOptions>;
  return {
    search,
    async find(tools, { alignment }) {
      const choices = choicesOf(tools, alignment);
      const { measurements, ...found } = await bisect(
        choices,
        maxDivergence,
        tools.measureAllocation,
        settings,
      );
      return { ...found, note: `${measurements} mixtures measured` };
    },
  };
}

/** The job that follows from a type for every tensor. */
type Draft = (types: ReadonlyMap<TensorSpec, string>, found?: SearchResult) => Job;

/**
 * What a file has besides its tensors' data may depend on the types' names, so that an allocation whose draft came
 * out too large is made again with less.
 */
async function withinBudget(
  table: SearchTools,
  search: (task: SearchTask) => Promise<FoundAllocation>,
  format: OutputFormat,
  options: CompressOptions,
  draft: Draft,
): Promise<FoundAllocation> {
  const { unit, budget, measure } = goal(options, format);
  const choices = choicesOf(table, unit);
  const least = draft(typesOf(table, smallest(choices)));
  let allowed = budget(least) - measure(least) + stored(least, unit);
  for (;;) {
    const allocation = await search({ ...table, choices, budget: allowed });
    const job = draft(typesOf(table, allocation));
    const excess = measure(job) - budget(job);
    if (excess <= 0) return allocation;
    allowed = Math.min(allowed, stored(job, unit)) - excess;
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

const typesOf = (table: LevelTable, allocation: Allocation) =>
  new Map([...pick(table, allocation)].map(([spec, { type }]) => [spec, type]));

function unreachable({ size, bits, overrides = [] }: CompressOptions, { plan }: Job): TersorError {
  const [asked, least] =
    size === undefined
      ? [`${bits} bits per weight`, `${Math.ceil(plan.bitsPerWeight * 1000) / 1000}`]
      : [`${size} bytes`, `${plan.bytes}`];
  const bound = overrides.length > 0 ? ` with ${overrides.map(flagOf).join(' and ')}` : '';
  return new TersorError(`${asked} cannot be reached: the smallest possible${bound} is ${least}`, {
    code: 'invalid-option',
    file: plan.model,
    remedy: `ask for ${least} or more${bound ? ', drop an override' : ''}, or allow smaller types with --types`,
  });
}
