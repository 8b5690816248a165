import { TersorError } from '../errors.js';
import { createRandom, type Random } from '../random.js';
import { expectedImprovement, fitSurrogate } from './gaussian.js';

/** A setting and the values it may take. */
export type Dimension =
  | { readonly kind: 'real'; readonly low: number; readonly high: number; readonly scale?: 'linear' | 'log' }
  | {
      readonly kind: 'integer';
      readonly low: number;
      readonly high: number;
      readonly scale?: 'linear' | 'log';
    }
  | { readonly kind: 'choice'; readonly values: readonly string[] };

export type Space = Readonly<Record<string, Dimension>>;
export type Settings = Readonly<Record<string, number | string>>;

export interface BayesianOptions {
  /** Settings measured. */
  readonly evaluations: number;
  /** Of these, so many spread over the space before a surrogate is fitted. */
  readonly initial: number;
  /** Points at which the expected improvement is compared. */
  readonly candidates: number;
  readonly seed: number;
}

export const bayesianDefaults: BayesianOptions = { evaluations: 30, initial: 8, candidates: 600, seed: 0 };

export interface Trial {
  readonly settings: Settings;
  /** Measured; Infinity when it failed. */
  readonly value: number;
}

export interface BayesianResult {
  readonly best: Trial;
  readonly trials: readonly Trial[];
}

/**
 * The best settings by Bayesian optimisation: a Gaussian process predicts the measured quality of settings from those
 * tried, and the next is where the expected improvement on the best is largest (Snoek, Larochelle and Adams, 2012,
 * arXiv:1206.2944).
 *
 * @param measure quality under such settings, less is better; a value that is not finite counts as a failure, and what is
 *   near it is avoided
 * @param tried settings measured before, such as the default one; count as evaluations
 * @throws TersorError when a dimension is empty or no settings could be measured
 */
export async function optimise(
  space: Space,
  measure: (settings: Settings) => Promise<number>,
  options: Partial<BayesianOptions> = {},
  tried: readonly Trial[] = [],
): Promise<BayesianResult> {
  const { evaluations, initial, candidates, seed } = { ...bayesianDefaults, ...options };
  checkSpace(space);
  const random = createRandom(seed);
  const names = Object.keys(space).sort();
  const trials: Trial[] = [...tried];
  const seen = new Set(trials.map(({ settings }) => key(names, settings)));
  const cubes = latin(Object.keys(space).length, Math.max(1, initial), random);
  while (trials.length < evaluations) {
    let settings = trials.length < initial ? decode(space, names, cubes[trials.length] ?? []) : undefined;
    settings ??= suggest(space, names, trials, seen, candidates, random);
    if (!settings) break;
    seen.add(key(names, settings));
    const value = await measure(settings);
    trials.push({ settings, value: Number.isFinite(value) ? value : Infinity });
  }
  const [first, ...rest] = trials;
  if (!first) throw new TersorError('nothing was measured', { remedy: 'allow at least one evaluation' });
  const best = rest.reduce((a, b) => (b.value < a.value ? b : a), first);
  if (best.value === Infinity) throw new TersorError(`none of ${trials.length} settings could be measured`);
  return { best, trials };
}

/** The settings of the largest expected improvement; undefined when all have been tried. */
function suggest(
  space: Space,
  names: readonly string[],
  trials: readonly Trial[],
  seen: ReadonlySet<string>,
  candidates: number,
  random: Random,
): Settings | undefined {
  const finite = trials.map(({ value }) => value).filter(Number.isFinite);
  const [least, worst] = [Math.min(...finite), Math.max(...finite)];
  const points = trials.map(({ settings }) => encode(space, names, settings));
  const surrogate = finite.length
    ? fitSurrogate(
        points,
        trials.map(({ value }) => (Number.isFinite(value) ? value : worst)),
      )
    : undefined;
  const ranked = trials.toSorted((a, b) => a.value - b.value);
  let best: { readonly settings: Settings; readonly gain: number } | undefined;
  for (let count = 0; count < candidates; count++) {
    // Half anywhere, half near one of the best.
    const near = ranked[random.integer(Math.min(3, ranked.length))];
    const settings =
      count % 2 && near
        ? neighbour(space, names, near.settings, random)
        : decode(
            space,
            names,
            names.map(() => random.next()),
          );
    if (seen.has(key(names, settings))) continue;
    const expected = surrogate?.predict(encode(space, names, settings));
    const gain = expected ? expectedImprovement(least, expected.mean, expected.deviation) : 0;
    if (!best || gain > best.gain) best = { settings, gain };
  }
  return best?.settings;
}

const key = (names: readonly string[], settings: Settings) => names.map((name) => settings[name]).join('\n');

/** One coordinate per number, one per value of a choice: all choices are as far from each other. */
function encode(space: Space, names: readonly string[], settings: Settings): number[] {
  return names.flatMap((name) => {
    const [dimension, value] = [space[name], settings[name]];
    if (!dimension) return [];
    if (dimension.kind === 'choice') return dimension.values.map((own) => (own === value ? 0.5 : 0));
    const { low, high } = limits(dimension);
    return [high > low ? (transformed(dimension, Number(value)) - low) / (high - low) : 0];
  });
}

/** The settings at a point of the unit cube, one coordinate per dimension. */
function decode(space: Space, names: readonly string[], point: readonly number[]): Settings {
  return Object.fromEntries(
    names.map((name, index) => [name, valueAt(space[name], point[index] ?? 0)] as const),
  );
}

function valueAt(dimension: Dimension | undefined, share: number): number | string {
  if (!dimension) return 0;
  if (dimension.kind === 'choice') {
    return (
      dimension.values[Math.min(dimension.values.length - 1, Math.floor(share * dimension.values.length))] ??
      ''
    );
  }
  const { low, high } = limits(dimension);
  const raw = low + share * (high - low);
  const value = dimension.scale === 'log' ? Math.exp(raw) : raw;
  const clipped = Math.min(dimension.high, Math.max(dimension.low, value));
  return dimension.kind === 'integer' ? Math.round(clipped) : clipped;
}

/** Settings with about one value changed, numbers by a small step. */
function neighbour(space: Space, names: readonly string[], settings: Settings, random: Random): Settings {
  const chosen = random.integer(names.length);
  return Object.fromEntries(
    names.map((name, index) => {
      const [dimension, value] = [space[name], settings[name] ?? 0];
      if (!dimension || (index !== chosen && random.next() < 0.6)) return [name, value] as const;
      if (dimension.kind === 'choice') return [name, valueAt(dimension, random.next())] as const;
      const { low, high } = limits(dimension);
      const share = high > low ? (transformed(dimension, Number(value)) - low) / (high - low) : 0;
      const moved = share + 0.3 * 10 ** (-2 * random.next()) * random.normal();
      return [name, valueAt(dimension, Math.min(1, Math.max(0, moved)))] as const;
    }),
  );
}

type Range = Exclude<Dimension, { readonly kind: 'choice' }>;

const transformed = ({ scale }: Range, value: number) => (scale === 'log' ? Math.log(value) : value);

function limits(dimension: Range): { readonly low: number; readonly high: number } {
  return { low: transformed(dimension, dimension.low), high: transformed(dimension, dimension.high) };
}

/** Points of which every coordinate falls once into each of `count` equal parts (a Latin hypercube). */
function latin(dimensions: number, count: number, random: Random): number[][] {
  const parts = [...Array(count).keys()];
  const columns = Array.from({ length: dimensions }, () => random.shuffle(parts));
  return parts.map((row) => columns.map((column) => ((column[row] ?? 0) + random.next()) / count));
}

function checkSpace(space: Space): void {
  for (const [name, dimension] of Object.entries(space)) {
    if (dimension.kind === 'choice') {
      if (dimension.values.length === 0) throw new TersorError(`option ${name} has no values to choose from`);
      continue;
    }
    const { low, high } = limits(dimension);
    if (!(Number.isFinite(low) && Number.isFinite(high) && low <= high)) {
      throw new TersorError(`option ${name} cannot range from ${dimension.low} to ${dimension.high}`, {
        remedy:
          dimension.scale === 'log'
            ? 'a logarithmic scale needs positive limits'
            : 'put the lower limit first',
      });
    }
  }
}
