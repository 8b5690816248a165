import { TersorError } from '../errors.js';
import { createRandom, type Random } from '../random.js';
import { hullFront } from './hull-front.js';
import { type Objectives, sortFronts } from './pareto.js';
import { type Additive, additiveValue, fitAdditive } from './predictor.js';
import { apart, select } from './selection.js';
import { type Allocation, type Choice, checkChoices, total } from './table.js';

export interface FrontOptions {
  /** Allocations measured. */
  readonly measurements: number;
  /** Measured between two fits of the predictor. */
  readonly batch: number;
  /** Of the search on predicted objectives. */
  readonly population: number;
  readonly generations: number;
  readonly seed: number;
}

export const frontDefaults: FrontOptions = {
  measurements: 64,
  batch: 8,
  population: 64,
  generations: 30,
  seed: 0,
};

/** A measured allocation. */
export interface FrontPoint extends Allocation {
  /** Bytes, then what was measured. */
  readonly objectives: Objectives;
}

/**
 * The Pareto front of size and whatever is measured (divergence, latency): a genetic search (NSGA-II) on objectives
 * that a ridge regression predicts picks what to measure next, and every batch of measurements improves the
 * prediction (SimQ-NAS: Sridhar et al., 2023, arXiv:2312.13301; InstaTune: Sarah et al., 2023, arXiv:2308.15609).
 *
 * The first measurements are the uniform settings (one type for all tensors that have it) and allocations spread over
 * the table's hull, so that the front is nowhere worse than a uniform setting.
 *
 * @param measure objectives besides the size, always as many, less is better
 * @returns the measured allocations that no other dominates, the smallest first
 * @throws TersorError when the table holds no number, or measurements are no numbers
 */
export async function searchFront(
  choices: readonly Choice[],
  measure: (allocation: Allocation) => Promise<readonly number[]>,
  options: Partial<FrontOptions> = {},
): Promise<readonly FrontPoint[]> {
  const settings = { ...frontDefaults, ...options };
  checkChoices(choices);
  const random = createRandom(settings.seed);
  const measured: FrontPoint[] = [];
  const seen = new Set<string>();
  const attempt = async (levels: readonly number[]) => {
    if (seen.has(levels.join()) || measured.length >= settings.measurements) return;
    seen.add(levels.join());
    const allocation = total(choices, levels);
    const values = await measure(allocation);
    if (values.length === 0 || !values.every(Number.isFinite)) {
      throw new TersorError(
        `an allocation of ${allocation.bytes} bytes measures ${values.join(', ') || 'nothing'}`,
      );
    }
    measured.push({ ...allocation, objectives: [allocation.bytes, ...values] });
  };
  for (const levels of uniformSettings(choices)) await attempt(levels);
  // What a search finds for the size of a uniform setting is mostly better than it.
  const hull = hullFront(choices);
  for (const levels of uniformSettings(choices)) {
    const { bytes } = total(choices, levels);
    await attempt((hull.findLast((point) => point.bytes <= bytes) ?? total(choices, levels)).levels);
  }
  const spread = sample(hull, Math.max(2, Math.floor(settings.measurements / 4)));
  for (const { levels } of spread) await attempt(levels);
  while (measured.length < settings.measurements) {
    const before = measured.length;
    for (const levels of propose(choices, measured, settings, seen, random)) await attempt(levels);
    if (measured.length === before) break;
  }
  const [front] = sortFronts(measured.map(({ objectives }) => objectives));
  return (front ?? [])
    .flatMap((index) => measured.slice(index, index + 1))
    .sort((a, b) => a.bytes - b.bytes || (a.objectives[1] ?? 0) - (b.objectives[1] ?? 0));
}

/** One type for all tensors; those that do not have it take their largest level. */
function uniformSettings(choices: readonly Choice[]): number[][] {
  const types = new Set(choices.flatMap(({ levels }) => levels.map(({ type }) => type)));
  const all = (type: string) =>
    choices.map(({ levels }) => {
      const own = levels.findIndex((level) => level.type === type);
      if (own >= 0) return own;
      const sizes = levels.map(({ bytes }) => bytes);
      return sizes.indexOf(Math.max(...sizes));
    });
  return [...types].map(all);
}

/** Allocations not measured yet that are expected on the front, spread along it. */
function propose(
  choices: readonly Choice[],
  measured: readonly FrontPoint[],
  settings: FrontOptions,
  seen: ReadonlySet<string>,
  random: Random,
): number[][] {
  const levels = measured.map((point) => point.levels);
  const models = (measured[0]?.objectives ?? []).slice(1).map((_, index) =>
    fitAdditive(
      choices,
      levels,
      measured.map((point) => point.objectives[index + 1] ?? 0),
    ),
  );
  const expected = (own: readonly number[]) => ({
    levels: own,
    objectives: logarithms([total(choices, own).bytes, ...models.map((model) => additiveValue(model, own))]),
  });
  // Models are additive: their hulls are exact, and the genetic search goes on from there.
  const hulls = models.map((model) => hullFront(corrected(choices, model)).map((point) => point.levels));
  let population = [...levels, ...hulls.flatMap((hull) => sample(hull, settings.population))].map(expected);
  for (let generation = 0; generation < settings.generations; generation++) {
    const children = Array.from({ length: settings.population }, () => {
      const parents = [0, 1].map(() => population[random.integer(population.length)]?.levels ?? []);
      return expected(cross(choices, parents[0] ?? [], parents[1] ?? [], random));
    });
    population = select([...population, ...children], settings.population);
  }
  const fresh = population.filter((candidate) => !seen.has(candidate.levels.join()));
  const known = measured.map((point) => logarithms(point.objectives));
  return apart(fresh, known, settings.batch).map((candidate) => [...candidate.levels]);
}

/** Sizes, divergences and times are compared by their ratios: a step from 1 to 2 is as long as one from 10 to 20. */
function logarithms(objectives: Objectives): Objectives {
  return objectives.map((value) => Math.log(Math.max(value, 1e-12)));
}

/** The table with losses as a model of measurements has them. */
function corrected(choices: readonly Choice[], model: Additive): Choice[] {
  return choices.map(({ name, levels }, tensor) => ({
    name,
    levels: levels.map((level, index) => ({ ...level, loss: model[tensor]?.[index] ?? 0 })),
  }));
}

/** At most so many, evenly spread, the ends among them. */
function sample<T>(values: readonly T[], count: number): T[] {
  if (values.length <= count) return [...values];
  return Array.from({ length: count }, (_, index) =>
    Math.round((index * (values.length - 1)) / (count - 1)),
  ).flatMap((place) => values.slice(place, place + 1));
}

/** Every tensor's level from one of two parents; on average one tensor and a half gets any level. */
function cross(
  choices: readonly Choice[],
  first: readonly number[],
  second: readonly number[],
  random: Random,
): number[] {
  const share = random.next();
  return choices.map(({ levels }, tensor) => {
    if (random.next() < 1.5 / choices.length) return random.integer(levels.length);
    return (random.next() < share ? first[tensor] : second[tensor]) ?? 0;
  });
}
