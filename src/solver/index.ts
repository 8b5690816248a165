import { z } from 'zod';
import { TersorError } from '../errors.js';
import type { Grid, Panel } from '../grid/grid.js';
import type { Moments } from '../types.js';
import { decoupleQ, decoupleQDefaults } from './decoupleq.js';
import { gptq, gptqDefaults } from './gptq.js';
import { greedy } from './greedy.js';
import { outliers, outliersDefaults } from './outliers.js';
import { quantEase, quantEaseDefaults } from './quantease.js';
import { rtn, rtnDefaults } from './rtn.js';
import type { Solution, Workbench } from './solver.js';
import { vptq, vptqDefaults } from './vptq.js';

/** A row of the table that `tersor methods`, the recipe's validation and the docs are made from. */
export interface SolverMethod {
  readonly name: string;
  /** The row of the catalogue of methods. */
  readonly id: string;
  readonly title: string;
  readonly paper: string;
  /** Options with their defaults and descriptions. */
  readonly options: z.ZodObject;
  /** Checks the options (TersorError) and solves. */
  readonly solve: (
    bench: Workbench,
    weight: Panel,
    moments: Moments | undefined,
    grid: Grid,
    options?: Readonly<Record<string, unknown>>,
  ) => Promise<Solution>;
}

const rtnOptions = z.strictObject({
  importance: z
    .enum(['activation', 'uniform'])
    .default(rtnDefaults.importance)
    .describe('scales for columns by the energy of their inputs, or for all alike (plain rounding)'),
});

const gptqOptions = z.strictObject({
  damping: z
    .number()
    .min(0)
    .max(10)
    .default(gptqDefaults.damping)
    .describe('added to the diagonal of H, in units of its mean'),
  order: z
    .enum(['natural', 'activation'])
    .default(gptqDefaults.order)
    .describe('which columns are rounded first: in their order, or the loudest inputs'),
  groups: z
    .enum(['static', 'dynamic'])
    .default(gptqDefaults.groups)
    .describe('scales from the original weights, or block by block from the corrected ones'),
  blockSize: z
    .int()
    .min(8)
    .multipleOf(8)
    .default(gptqDefaults.blockSize)
    .describe('columns between matrix products; changes speed, not the result'),
});

const quantEaseOptions = z.strictObject({
  start: z
    .enum(['gptq', 'rtn'])
    .default(quantEaseDefaults.start)
    .describe('the solver whose result is improved'),
  sweeps: z
    .int()
    .min(1)
    .max(1000)
    .default(quantEaseDefaults.sweeps)
    .describe('sweeps over all columns, at most'),
  tolerance: z
    .number()
    .min(0)
    .max(1)
    .default(quantEaseDefaults.tolerance)
    .describe('ends when a sweep lowers the loss by less than this share'),
  rule: z
    .enum(['cyclic', 'greedy'])
    .default(quantEaseDefaults.rule)
    .describe('which column moves next: all in turn, or in every row the one that lowers the loss most'),
  passes: z
    .int()
    .min(1)
    .max(100)
    .default(quantEaseDefaults.passes)
    .describe('passes over a block of columns before the next block'),
  damping: z
    .number()
    .min(0)
    .max(10)
    .default(quantEaseDefaults.damping)
    .describe('added to the diagonal of H, in units of its mean'),
  windows: z
    .int()
    .min(0)
    .max(1000)
    .default(quantEaseDefaults.windows)
    .describe('how often a sweep solves every column anew as part of a random set of columns'),
  windowSize: z.int().min(2).max(256).default(quantEaseDefaults.windowSize).describe('columns of such a set'),
  temperature: z
    .number()
    .min(0)
    .max(10)
    .default(quantEaseDefaults.temperature)
    .describe(
      'of annealed sweeps: how far weights move against the loss, in units of loss per column; 0: none',
    ),
  anneals: z
    .int()
    .min(0)
    .max(1000)
    .default(quantEaseDefaults.anneals)
    .describe('annealed sweeps, behind the first of the others; they get ten times cooler'),
  shakes: z
    .int()
    .min(0)
    .max(1000)
    .default(quantEaseDefaults.shakes)
    .describe('noisy passes over a block in each annealed sweep'),
  blockSize: z
    .int()
    .min(8)
    .multipleOf(8)
    .default(quantEaseDefaults.blockSize)
    .describe('columns per matrix product, at most 256; changes speed and memory, not the result'),
});

const greedyOptions = quantEaseOptions.omit({ rule: true });

const decoupleQOptions = quantEaseOptions.extend({
  refits: z
    .int()
    .min(0)
    .max(100)
    .default(decoupleQDefaults.refits)
    .describe('passes over a block in which scales and offsets are chosen, too'),
  trials: z
    .int()
    .min(0)
    .max(6)
    .default(decoupleQDefaults.trials)
    .describe('storable neighbours of the best scale and offset that a refit tries'),
});

const outliersOptions = decoupleQOptions.extend({
  exchanges: z
    .int()
    .min(0)
    .max(100)
    .default(outliersDefaults.exchanges)
    .describe('outliers of a row and block of columns that may change places in a pass'),
});

const vptqOptions = z.strictObject({
  damping: z
    .number()
    .min(0)
    .max(10)
    .default(vptqDefaults.damping)
    .describe('added to the diagonal of H, in units of its mean'),
  iterations: z
    .int()
    .min(1)
    .max(1000)
    .default(vptqDefaults.iterations)
    .describe('rounds of k-means that codebooks start with'),
  passes: z
    .int()
    .min(1)
    .max(100)
    .default(vptqDefaults.passes)
    .describe('passes of error feedback, codebooks fitted in between'),
  sweeps: z
    .int()
    .min(0)
    .max(1000)
    .default(vptqDefaults.sweeps)
    .describe('rounds of joint refinement, at most'),
  tolerance: z
    .number()
    .min(0)
    .max(1)
    .default(vptqDefaults.tolerance)
    .describe('ends when a round lowers the loss by less than this share'),
  seed: z
    .int()
    .min(0)
    .max(65535)
    .default(vptqDefaults.seed)
    .describe('chooses the vectors that codebooks start from'),
  blockSize: z
    .int()
    .min(8)
    .multipleOf(8)
    .default(vptqDefaults.blockSize)
    .describe('columns between matrix products; changes speed, hardly the result'),
});

/** Every solver, in the order of the catalogue. */
export const solvers: readonly SolverMethod[] = [
  {
    name: 'rtn',
    id: 'V1',
    title: 'Round to nearest',
    paper: 'baseline; scales minimise the error weighted by diag H',
    options: rtnOptions,
    solve: (bench, weight, moments, grid, options = {}) =>
      rtn(bench, weight, moments, grid, parse('rtn', rtnOptions, options)),
  },
  {
    name: 'gptq',
    id: 'V2',
    title: 'GPTQ: column by column, errors made up for by the columns that follow',
    paper: 'Frantar et al., 2022, arXiv:2210.17323; as LDLQ: Chee et al., 2023, arXiv:2307.13304',
    options: gptqOptions,
    solve: (bench, weight, moments, grid, options = {}) =>
      gptq(bench, weight, moments, grid, parse('gptq', gptqOptions, options)),
  },
  {
    name: 'quantease',
    id: 'V3',
    title: 'QuantEase: coordinate descent on the codes, from the result of GPTQ',
    paper: 'Behdin et al., 2023, arXiv:2309.01885',
    options: quantEaseOptions,
    solve: (bench, weight, moments, grid, options = {}) =>
      quantEase(bench, weight, moments, grid, parse('quantease', quantEaseOptions, options)),
  },
  {
    name: 'greedy',
    id: 'V5',
    title: 'Greedy descent: in every row the column that lowers the loss most, and sets of columns at once',
    paper: 'Nutini, Laradji, Schmidt, 2022, arXiv:1712.08859',
    options: greedyOptions,
    solve: (bench, weight, moments, grid, options = {}) =>
      greedy(bench, weight, moments, grid, parse('greedy', greedyOptions, options)),
  },
  {
    name: 'decoupleq',
    id: 'V6',
    title: 'decoupleQ: codes by coordinate descent, scales and offsets by least squares, in turns',
    paper: 'Guo et al., 2024, arXiv:2404.12759',
    options: decoupleQOptions,
    solve: (bench, weight, moments, grid, options = {}) =>
      decoupleQ(bench, weight, moments, grid, parse('decoupleq', decoupleQOptions, options)),
  },
  {
    name: 'outliers',
    id: 'V4, D3',
    title: 'QuantEase with outliers: some weights stay halves, chosen in turns with codes and scales',
    paper: 'Behdin et al., 2023, arXiv:2309.01885, algorithm 3',
    options: outliersOptions,
    solve: (bench, weight, moments, grid, options = {}) =>
      outliers(bench, weight, moments, grid, parse('outliers', outliersOptions, options)),
  },
  {
    name: 'vptq',
    id: 'G6, G7',
    title: 'VPTQ: vector codebooks by k-means and error feedback, then refined jointly with their codes',
    paper: 'Liu et al., 2024, arXiv:2409.17066',
    options: vptqOptions,
    solve: (bench, weight, moments, grid, options = {}) =>
      vptq(bench, weight, moments, grid, parse('vptq', vptqOptions, options)),
  },
];

/** The solver of this name. Throws a TersorError that lists the names if there is none. */
export function findSolver(name: string): SolverMethod {
  const solver = solvers.find((method) => method.name === name);
  if (solver) return solver;
  throw new TersorError(`there is no solver ${name}`, {
    remedy: `choose one of ${solvers.map((method) => method.name).join(', ')}`,
  });
}

/** @throws TersorError when there is no such solver or it does not take these options */
export function checkSolver(name: string, options: Readonly<Record<string, unknown>> = {}): void {
  parse(name, findSolver(name).options, options);
}

function parse<T>(solver: string, schema: z.ZodType<T>, options: Readonly<Record<string, unknown>>): T {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const place = issue?.path.length
    ? `option ${issue.path.join('.')} of ${solver}`
    : `the options of ${solver}`;
  throw new TersorError(`${place}: ${issue?.message ?? 'not valid'}`, {
    remedy: `see tersor methods for what ${solver} takes`,
    cause: result.error,
  });
}
