import type { z } from 'zod';
import type { Grid } from '../grid/grid.js';
import type { Panel } from '../kernels/panel.js';
import { findMethod, type OptionalMethod, parseOptions } from '../method.js';
import type { Moments } from '../types.js';
import { decoupleQ } from './decoupleq.js';
import { gptq } from './gptq.js';
import { greedy } from './greedy.js';
import { nested } from './nested.js';
import {
  decoupleQOptions,
  gptqOptions,
  greedyOptions,
  nestedOptions,
  outliersOptions,
  quantEaseOptions,
  rtnOptions,
  vptqOptions,
} from './options.js';
import { outliers } from './outliers/outliers.js';
import { quantEase } from './quantease.js';
import { rtn } from './rtn.js';
import type { Solution, Solver, SolverContext } from './solver.js';
import { vptq } from './vector/vptq.js';

export interface SolverMethod extends OptionalMethod {
  /** Checks the options (TersorError) and solves. */
  readonly solve: (
    context: SolverContext,
    weight: Panel,
    moments: Moments | undefined,
    grid: Grid,
    options?: Readonly<Record<string, unknown>>,
  ) => Promise<Solution>;
}

/** Options, and the solver behind a check of them. */
function checked<T extends z.ZodObject>(name: string, options: T, solver: Solver<z.infer<T>>) {
  const solve: SolverMethod['solve'] = (context, weight, moments, grid, given) =>
    solver(context, weight, moments, grid, parseOptions(name, options, given) as z.infer<T>);
  return { options, solve };
}

/** Every solver, in the order of the catalogue. */
export const solvers: readonly SolverMethod[] = [
  {
    name: 'rtn',
    id: 'V1',
    title: 'Round to nearest',
    paper: 'baseline; scales minimise the error weighted by diag H',
    ...checked('rtn', rtnOptions, rtn),
  },
  {
    name: 'gptq',
    id: 'V2',
    title: 'GPTQ: column by column, errors made up for by the columns that follow',
    paper: 'Frantar et al., 2022, arXiv:2210.17323; as LDLQ: Chee et al., 2023, arXiv:2307.13304',
    ...checked('gptq', gptqOptions, gptq),
  },
  {
    name: 'quantease',
    id: 'V3',
    title: 'QuantEase: coordinate descent on the codes, from the result of GPTQ',
    paper: 'Behdin et al., 2023, arXiv:2309.01885',
    ...checked('quantease', quantEaseOptions, quantEase),
  },
  {
    name: 'greedy',
    id: 'V5',
    title: 'Greedy descent: in every row the column that lowers the loss most, and sets of columns at once',
    paper: 'Nutini, Laradji, Schmidt, 2022, arXiv:1712.08859',
    ...checked('greedy', greedyOptions, greedy),
  },
  {
    name: 'decoupleq',
    id: 'V6',
    title: 'decoupleQ: codes by coordinate descent, scales and offsets by least squares, in turns',
    paper: 'Guo et al., 2024, arXiv:2404.12759',
    ...checked('decoupleq', decoupleQOptions, decoupleQ),
  },
  {
    name: 'outliers',
    id: 'V4, D3',
    title: 'QuantEase with outliers: some weights stay halves, chosen in turns with codes and scales',
    paper: 'Behdin et al., 2023, arXiv:2309.01885, algorithm 3',
    ...checked('outliers', outliersOptions, outliers),
  },
  {
    name: 'nested',
    id: 'G8',
    title: 'Nested bits: cells, scales and offsets that are good for every precision in one tensor',
    paper: 'after Huang et al., 2025, arXiv:2502.01199',
    ...checked('nested', nestedOptions, nested),
  },
  {
    name: 'vptq',
    id: 'G6, G7',
    title: 'VPTQ: vector codebooks by k-means and error feedback, then refined jointly with their codes',
    paper: 'Liu et al., 2024, arXiv:2409.17066',
    ...checked('vptq', vptqOptions, vptq),
  },
];

/** The solver of this name. Throws a TersorError that lists the names if there is none. */
export const findSolver = (name: string): SolverMethod => findMethod(solvers, name, 'solver');

/** @throws TersorError when there is no such solver or it does not take these options */
export function checkSolver(name: string, options: Readonly<Record<string, unknown>> = {}): void {
  parseOptions(name, findSolver(name).options, options);
}
