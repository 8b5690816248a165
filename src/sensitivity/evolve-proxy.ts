import { TersorError } from '../errors.js';
import { createRandom, type Random } from '../random.js';
import {
  binaryNames,
  type Columns,
  type Expression,
  evaluate,
  formula,
  partAt,
  replaceAt,
  sizeOf,
  unaryNames,
} from './expression.js';
import { rankCorrelation, ranks } from './rank.js';

export interface EvolveProxyOptions {
  readonly population: number;
  readonly generations: number;
  /** Columns, constants and functions of a formula at most. */
  readonly size: number;
  /** Correlation that one more of them must bring. */
  readonly parsimony: number;
  readonly seed: number;
}

export const evolveProxyDefaults: EvolveProxyOptions = {
  population: 80,
  generations: 60,
  size: 15,
  parsimony: 0.0005,
  seed: 0,
};

export interface Proxy {
  readonly expression: Expression;
  readonly formula: string;
  /** Spearman's, with the losses that it was evolved on. */
  readonly correlation: number;
  /** The same of every column alone: the proxies made by hand. */
  readonly columns: Readonly<Record<string, number>>;
}

interface Candidate {
  readonly expression: Expression;
  readonly correlation: number;
  readonly score: number;
}

/**
 * EMQ (Dong et al., 2023, arXiv:2307.10554): evolves a formula over cheap statistics, whose values order tensors and
 * levels as their measured losses do. Its search begins with every statistic alone, so that the result correlates at
 * least as well as the best of them; formulas that differ only in writing compete for one place (the paper's
 * diversity), and those that give no finite order are screened out (its compatibility).
 *
 * A correlation on the rows it was evolved on is an optimistic one. For an honest figure evaluate the formula
 * (`proxyCorrelation`) on rows of tensors that were kept back.
 *
 * @param columns statistics by name, one value per row
 * @param losses measured, one per row
 * @throws TersorError when there are fewer than three rows or columns differ in length
 */
export function evolveProxy(
  columns: Columns,
  losses: readonly number[],
  options: Partial<EvolveProxyOptions> = {},
): Proxy {
  const settings = { ...evolveProxyDefaults, ...options };
  const names = Object.keys(columns).sort();
  if (losses.length < 3 || names.length === 0) {
    throw new TersorError(`${names.length} statistics of ${losses.length} rows are too few to find a proxy`);
  }
  for (const name of names) {
    const length = columns[name]?.length;
    if (length !== losses.length) {
      throw new TersorError(`statistic ${name} has ${length} values for ${losses.length} rows`);
    }
  }
  const random = createRandom(settings.seed);
  const target = ranks(losses);
  const assess = (expression: Expression): Candidate => {
    const values = evaluate(expression, columns, losses.length);
    const usable = values.every(Number.isFinite) && sizeOf(expression) <= settings.size;
    const correlation = usable ? rankCorrelation(ranks(values), target) : -1;
    return { expression, correlation, score: correlation - settings.parsimony * sizeOf(expression) };
  };
  const alone = names.map((column) => assess({ column }));
  let population = [
    ...alone,
    ...names.map((column) => assess({ unary: 'neg', of: { column } })),
    ...Array.from({ length: settings.population }, () => assess(grow(names, 3, random))),
  ];
  for (let generation = 0; generation < settings.generations; generation++) {
    const children = Array.from({ length: settings.population }, () => {
      const first = tournament(population, random);
      const other = random.next() < 0.5 ? tournament(population, random) : grow(names, 2, random);
      return assess(graft(first, other, random));
    });
    population = survive([...population, ...children], settings.population);
  }
  // Scored by correlation alone at the end, so that no column beats the result.
  const best = [...population, ...alone].reduce((a, b) => (b.correlation > a.correlation ? b : a));
  return {
    expression: best.expression,
    formula: formula(best.expression),
    correlation: best.correlation,
    columns: Object.fromEntries(names.map((name, index) => [name, alone[index]?.correlation ?? 0])),
  };
}

/** Spearman's correlation of a formula with losses on other rows. */
export function proxyCorrelation(
  expression: Expression,
  columns: Columns,
  losses: readonly number[],
): number {
  return rankCorrelation(ranks(evaluate(expression, columns, losses.length)), ranks(losses));
}

/** The best; of formulas with the same correlation, which order alike, the shortest. */
function survive(candidates: readonly Candidate[], count: number): Candidate[] {
  const sorted = candidates.toSorted((a, b) => b.score - a.score);
  const seen = new Set<string>();
  return sorted
    .filter(({ correlation }) => {
      const key = correlation.toFixed(9);
      return !seen.has(key) && seen.add(key);
    })
    .slice(0, count);
}

function tournament(population: readonly Candidate[], random: Random): Expression {
  const entrants = [0, 1, 2, 3].flatMap(() => {
    const place = random.integer(population.length);
    return population.slice(place, place + 1);
  });
  return entrants.reduce((a, b) => (b.score > a.score ? b : a)).expression;
}

/** A random formula of at most this depth. */
function grow(names: readonly string[], depth: number, random: Random): Expression {
  const kind = depth === 0 ? 0 : random.next();
  if (kind < 0.3) {
    if (random.next() < 0.1) return { constant: [0.5, 1, 2, 4][random.integer(4)] ?? 1 };
    return { column: names[random.integer(names.length)] ?? '' };
  }
  if (kind < 0.5) {
    const of = grow(names, depth - 1, random);
    return { unary: unaryNames[random.integer(unaryNames.length)] ?? 'abs', of };
  }
  const [left, right] = [grow(names, depth - 1, random), grow(names, depth - 1, random)];
  return { binary: binaryNames[random.integer(binaryNames.length)] ?? '+', left, right };
}

/** One formula with a part of another, in place of a part or combined with it. */
function graft(expression: Expression, other: Expression, random: Random): Expression {
  const place = random.integer(sizeOf(expression));
  const part = partAt(other, random.integer(sizeOf(other)));
  const old = partAt(expression, place);
  const kind = random.next();
  if (kind < 0.4) return replaceAt(expression, place, part);
  if (kind < 0.6) {
    const name = unaryNames[random.integer(unaryNames.length)] ?? 'abs';
    return replaceAt(expression, place, { unary: name, of: old });
  }
  const name = binaryNames[random.integer(binaryNames.length)] ?? '*';
  return replaceAt(expression, place, { binary: name, left: old, right: part });
}
