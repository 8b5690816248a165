import { z } from 'zod';
import { findMethod, type OptionalMethod, parseOptions } from '../method.js';
import { banditPolicies } from './bandit.js';
import { bayesianDefaults } from './bayesian.js';
import { bisectionDefaults } from './bisection.js';
import { evoPressDefaults } from './evopress.js';
import { frontDefaults } from './front.js';
import { interactionDefaults } from './interactions.js';
import { knapsackDefaults } from './knapsack.js';
import { layerDpDefaults } from './layer-dp.js';

const seed = z.int().min(0).max(65535).describe('chooses the random numbers of the search');

/** A list of which a single item may stand alone, as it does on the command line. */
const listOf = <T extends z.ZodArray>(list: T) =>
  z.preprocess((value) => (Array.isArray(value) ? value : [value]), list);

const knapsackOptions = z.strictObject({
  states: z
    .int()
    .min(1)
    .default(knapsackDefaults.states)
    .describe('partial allocations remembered; fewer are faster, but may lose the proof that none is better'),
});

const layerDpOptions = z.strictObject({
  cells: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(layerDpDefaults.cells)
    .describe('parts that the budget is divided into, at most'),
});

const bisectionOptions = z.strictObject({
  measurements: z.int().min(1).default(bisectionDefaults.measurements).describe('models measured, at most'),
  tolerance: z
    .number()
    .min(0)
    .max(1)
    .default(bisectionDefaults.tolerance)
    .describe('ends when the size is known to this share'),
  confidence: z
    .number()
    .min(0)
    .max(10)
    .default(bisectionDefaults.confidence)
    .describe('standard errors by which a value must stay below the limit'),
});

const evoPressOptions = z.strictObject({
  generations: z
    .int()
    .min(0)
    .default(evoPressDefaults.generations)
    .describe('rounds of mutation and selection'),
  offspring: z.int().min(1).default(evoPressDefaults.offspring).describe('mutants per generation'),
  tokens: listOf(z.array(z.int().min(0)).min(1))
    .default([...evoPressDefaults.tokens])
    .describe('tokens that each selection measures on, growing; 0: a prediction from what was measured'),
  survivors: listOf(z.array(z.int().min(1)))
    .default([...evoPressDefaults.survivors])
    .describe('mutants that each selection but the last leaves over'),
  operators: z
    .enum([...banditPolicies, 'uniform'])
    .default(evoPressDefaults.operators)
    .describe('how mutations are chosen: by a bandit from their success, or all alike'),
  finalists: z
    .int()
    .min(0)
    .default(8)
    .describe('allocations compressed for good at the end, beside that of knapsack'),
  seed: seed.default(evoPressDefaults.seed),
});

const frontOptions = z.strictObject({
  measurements: z.int().min(2).default(frontDefaults.measurements).describe('models measured'),
  batch: z
    .int()
    .min(1)
    .default(frontDefaults.batch)
    .describe('models measured between two fits of the predictor'),
  population: z.int().min(2).default(frontDefaults.population).describe('of the search on predictions'),
  generations: z.int().min(0).default(frontDefaults.generations).describe('of the search on predictions'),
  seed: seed.default(frontDefaults.seed),
});

const bayesianOptions = z.strictObject({
  evaluations: z.int().min(1).default(bayesianDefaults.evaluations).describe('recipes measured'),
  initial: z
    .int()
    .min(1)
    .default(bayesianDefaults.initial)
    .describe('recipes spread over the space before the surrogate is fitted'),
  candidates: z
    .int()
    .min(1)
    .default(bayesianDefaults.candidates)
    .describe('recipes at which the expected improvement is compared'),
  seed: seed.default(bayesianDefaults.seed),
});

const banditOptions = z.strictObject({
  policy: z
    .enum(banditPolicies)
    .default('thompson')
    .describe('by a draw from what is believed, or by the highest that can be believed'),
});

const interactionOptions = z.strictObject({
  perturbations: z
    .int()
    .min(0)
    .default(interactionDefaults.perturbations)
    .describe('how often the best allocation is disturbed and improved again'),
  seed: seed.default(interactionDefaults.seed),
});

/** Every search, in the order of the catalogue. */
export const searches: readonly OptionalMethod[] = [
  {
    name: 'knapsack',
    id: 'A1',
    title: 'Exact knapsack: the levels of least total loss within a budget',
    paper:
      'Dong et al., 2019, arXiv:1911.03852; Hubara et al., 2020, arXiv:2006.10518; solved as Pisinger, 1995, does',
    status: 'recommended',
    wins: 'sizes, by default: files of tales of 3.7 to 5.9 bits have 0.12 to 0.34 of the divergence of llama.cpp’s mixtures',
    options: knapsackOptions,
  },
  {
    name: 'layer-dp',
    id: 'A2',
    title: 'Dynamic programming over tensors and a grid of sizes',
    paper: 'Xu et al., 2023, arXiv:2308.10438',
    status: 'experimental',
    wins: 'nowhere: the optimum of knapsack by another way, which agrees with it on the 400 tables of the tests',
    options: layerDpOptions,
  },
  {
    name: 'bisection',
    id: 'A3',
    title: 'Bisection: the smallest size whose measured quality holds a limit',
    paper: 'Schaefer et al., 2023, arXiv:2306.04879',
    status: 'recommended',
    wins: 'limits on the divergence: the smallest size that holds one to 0.2 % in 12 measurements at most',
    options: bisectionOptions,
  },
  {
    name: 'evopress',
    id: 'A4',
    title: 'EvoPress: evolution by level switches that keep the size, measured on the whole model',
    paper: 'Sieberling et al., 2024, arXiv:2410.14649',
    status: 'special',
    wins: 'the last per cents: 1.3 to 3.6 % less divergence than knapsack at 2.6 to 4.5 bits, for 13 times the time',
    options: evoPressOptions,
  },
  {
    name: 'families',
    id: 'A5',
    title: 'Integer and float formats in one search, and each alone',
    paper: 'Dotzel et al., 2023, arXiv:2308.03290',
    status: 'experimental',
    wins: 'says what one family would have done: tales at 4.2 bits loses 0.083 with both, 0.101 with integers alone',
    options: z.strictObject({}),
  },
  {
    name: 'front',
    id: 'A6',
    title: 'The Pareto front of size and measured objectives, by a genetic search on a learned predictor',
    paper: 'Sridhar et al., 2023, arXiv:2312.13301; Deb et al., 2002 (NSGA-II)',
    status: 'special',
    wins: 'many sizes at once, from 32 measured models; a single size is found better by knapsack',
    options: frontOptions,
  },
  {
    name: 'bayesian',
    id: 'A7',
    title: 'Bayesian optimisation of the options of a recipe',
    paper: 'Snoek, Larochelle, Adams, 2012, arXiv:1206.2944',
    status: 'special',
    wins: 'little calibration text: tales at q3_k on 1,024 tokens from 0.154 to 0.095 in six recipes',
    options: bayesianOptions,
  },
  {
    name: 'bandit',
    id: 'A8',
    title: 'A bandit that chooses operators and parameters by their success',
    paper: 'Cai et al., 2024, arXiv:2412.14382; Khodak et al., 2023, arXiv:2310.02246',
    status: 'special',
    wins: 'inside evopress, where it shares out compressions of the model',
    options: banditOptions,
  },
  {
    name: 'interactions',
    id: 'S4',
    title: 'Knapsack with interactions of pairs of tensors, by local search',
    paper: 'Schaefer et al., 2023, arXiv:2306.04879',
    status: 'experimental',
    wins: 'hardly anywhere: at 3.2 bits of tales it takes the sum of losses from 0.199 to 0.197',
    options: interactionOptions,
  },
];

/** The search of this name. Throws a TersorError that lists the names if there is none. */
export const findSearch = (name: string): OptionalMethod => findMethod(searches, name, 'search');

/**
 * The options of a search with its defaults filled in.
 *
 * @throws TersorError when there is no such search or it does not take these options
 */
export const searchOptions = (
  name: string,
  options: Readonly<Record<string, unknown>> = {},
): Readonly<Record<string, unknown>> => parseOptions(name, findSearch(name).options, options);
