import type { z } from 'zod';
import type { Grid } from '../grid/grid.js';
import type { Panel } from '../kernels/panel.js';
import { findMethod, type OptionalMethod, parseOptions, type Tunable } from '../method.js';
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
import { tunable } from './tunable.js';
import { vptq } from './vector/vptq.js';

export interface SolverMethod extends OptionalMethod {
  /** Seconds per weight and thread beside matrix products: fits, sweeps. Measured in docs/results/time-and-memory.md. */
  readonly secondsPerWeight: number;
  /** Whether it keeps a second set of codes and values while it works. */
  readonly descends?: true;
  /** Options that --tune searches. */
  readonly tunable: Readonly<Record<string, Tunable>>;
  /**
   * Options for embedding and head, unless others were asked for. In small models these are most of the weights, and
   * annealing would be most of the time.
   */
  readonly outsideBlocks?: Readonly<Record<string, unknown>>;
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

const { damping, order, groups, temperature, windows } = tunable;
const descent = {
  secondsPerWeight: 5e-6,
  descends: true,
  tunable: { damping, temperature, windows },
  outsideBlocks: { temperature: 0 },
} as const;

/** Every solver, in the order of the catalogue. */
export const solvers: readonly SolverMethod[] = [
  {
    name: 'rtn',
    id: 'V1',
    title: 'Round to nearest',
    paper: 'baseline; scales minimise the error weighted by diag H',
    status: 'special',
    wins: '8 bits, where nothing is left to win (int8-channel of tales: divergence 0.00035), and importance matrices',
    secondsPerWeight: 1.2e-7,
    tunable: {},
    ...checked('rtn', rtnOptions, rtn),
  },
  {
    name: 'gptq',
    id: 'V2',
    title: 'GPTQ: column by column, errors made up for by the columns that follow',
    paper: 'Frantar et al., 2022, arXiv:2210.17323; as LDLQ: Chee et al., 2023, arXiv:2307.13304',
    status: 'recommended',
    wins: 'when time counts: a fifth to a tenth of the time of decoupleq in the solver, layer errors 1.16 to 1.27 times as large',
    secondsPerWeight: 6e-7,
    tunable: { damping, order, groups },
    ...checked('gptq', gptqOptions, gptq),
  },
  {
    name: 'quantease',
    id: 'V3',
    title: 'QuantEase: coordinate descent on the codes, from the result of GPTQ',
    paper: 'Behdin et al., 2023, arXiv:2309.01885',
    status: 'special',
    wins: 'scales are to stay as GPTQ fitted them: 0.80 to 0.88 of its layer errors on tales, 2 to 4 bits',
    ...descent,
    ...checked('quantease', quantEaseOptions, quantEase),
  },
  {
    name: 'greedy',
    id: 'V5',
    title: 'Greedy descent: in every row the column that lowers the loss most, and sets of columns at once',
    paper: 'Nutini, Laradji, Schmidt, 2022, arXiv:1712.08859',
    status: 'experimental',
    wins: 'nowhere yet: 0.80 and 0.85 of gptq’s layer error at 2 and 3 bits, as quantease has, in fewer moves, not in less time',
    ...descent,
    ...checked('greedy', greedyOptions, greedy),
  },
  {
    name: 'decoupleq',
    id: 'V6',
    title: 'decoupleQ: codes by coordinate descent, scales and offsets by least squares, in turns',
    paper: 'Guo et al., 2024, arXiv:2404.12759',
    status: 'recommended',
    wins: 'the smallest layer errors, by default: 0.79 to 0.86 of gptq’s, 0.31 to 0.65 of GPTQ’s as published, 2 to 4 bits',
    ...descent,
    ...checked('decoupleq', decoupleQOptions, decoupleQ),
  },
  {
    name: 'outliers',
    id: 'V4, D3',
    title: 'QuantEase with outliers: some weights stay halves, chosen in turns with codes and scales',
    paper: 'Behdin et al., 2023, arXiv:2309.01885, algorithm 3',
    status: 'special',
    wins: 'where the next bit does not fit: 1 % outliers, 0.25 bits, leave 0.69 to 0.81 of the error of quantease',
    ...descent,
    ...checked('outliers', outliersOptions, outliers),
  },
  {
    name: 'nested',
    id: 'G8',
    title: 'Nested bits: cells, scales and offsets that are good for every precision in one tensor',
    paper: 'after Huang et al., 2025, arXiv:2502.01199',
    status: 'special',
    wins: 'one tensor for 8, 6, 4 and 2 bits: 0.70 to 0.79 of the error of plain rounding at each of them',
    secondsPerWeight: 5e-6,
    tunable: { damping },
    ...checked('nested', nestedOptions, nested),
  },
  {
    name: 'vptq',
    id: 'G6, G7',
    title: 'VPTQ: vector codebooks by k-means and error feedback, then refined jointly with their codes',
    paper: 'Liu et al., 2024, arXiv:2409.17066',
    status: 'special',
    wins: 'two bits: 0.47 to 0.49 of the layer error of decoupleq on int2-g32-asym, codebooks counted',
    ...descent,
    tunable: { damping, temperature },
    ...checked('vptq', vptqOptions, vptq),
  },
];

/** The solver of this name. Throws a TersorError that lists the names if there is none. */
export const findSolver = (name: string): SolverMethod => findMethod(solvers, name, 'solver');

/** @throws TersorError when there is no such solver or it does not take these options */
export function checkSolver(name: string, options: Readonly<Record<string, unknown>> = {}): void {
  parseOptions(name, findSolver(name).options, options);
}
