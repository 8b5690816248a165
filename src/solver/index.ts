import { z } from 'zod';
import { TersorError } from '../errors.js';
import type { Grid, Panel } from '../grid/grid.js';
import type { Moments } from '../types.js';
import { gptq, gptqDefaults } from './gptq.js';
import { rtn, rtnDefaults } from './rtn.js';
import type { Solution, Workbench } from './solver.js';

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
