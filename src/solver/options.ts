import { z } from 'zod';
import { decoupleQDefaults } from './decoupleq.js';
import { gptqDefaults } from './gptq.js';
import { nestedDefaults } from './nested.js';
import { outliersDefaults } from './outliers/outliers.js';
import { quantEaseDefaults } from './quantease.js';
import { rtnDefaults } from './rtn.js';
import { vptqDefaults } from './vector/vptq.js';

// What several solvers take.
const integer = (least: number, most: number) => z.int().min(least).max(most);
const damping = (value: number) =>
  z.number().min(0).max(10).default(value).describe('added to the diagonal of H, in units of its mean');
const tolerance = (value: number) =>
  z
    .number()
    .min(0)
    .max(1)
    .default(value)
    .describe('ends when a round lowers the loss by less than this share');
const blockSize = (value: number) =>
  z
    .int()
    .min(8)
    .multipleOf(8)
    .default(value)
    .describe('columns between matrix products; changes speed, hardly the result');
const scales = (value: 'fitted' | 'range') =>
  z
    .enum(['fitted', 'range'])
    .default(value)
    .describe('scales of least error, or from the smallest and largest weight as usual elsewhere');

export const rtnOptions = z.strictObject({
  importance: z
    .enum(['activation', 'uniform'])
    .default(rtnDefaults.importance)
    .describe('scales for columns by the energy of their inputs, or for all alike (plain rounding)'),
  scales: scales(rtnDefaults.scales),
});

export const gptqOptions = z.strictObject({
  damping: damping(gptqDefaults.damping),
  order: z
    .enum(['natural', 'activation'])
    .default(gptqDefaults.order)
    .describe('which columns are rounded first: in their order, or by falling diag H (act-order)'),
  groups: z
    .enum(['static', 'dynamic'])
    .default(gptqDefaults.groups)
    .describe('scales from the original weights, or block by block from the corrected ones'),
  scales: scales(gptqDefaults.scales),
  blockSize: blockSize(gptqDefaults.blockSize),
});

export const quantEaseOptions = z.strictObject({
  start: z
    .enum(['gptq', 'rtn'])
    .default(quantEaseDefaults.start)
    .describe('the solver whose result is improved'),
  scales: scales(quantEaseDefaults.scales),
  sweeps: integer(1, 1000).default(quantEaseDefaults.sweeps).describe('sweeps over all columns, at most'),
  tolerance: tolerance(quantEaseDefaults.tolerance),
  rule: z
    .enum(['cyclic', 'greedy'])
    .default(quantEaseDefaults.rule)
    .describe('which column moves next: all in turn, or in every row the one that lowers the loss most'),
  passes: integer(1, 100)
    .default(quantEaseDefaults.passes)
    .describe('passes over a block of columns before the next block'),
  damping: damping(quantEaseDefaults.damping),
  windows: integer(0, 1000)
    .default(quantEaseDefaults.windows)
    .describe('how often a sweep solves every column anew as part of a random set of columns'),
  windowSize: integer(2, 256).default(quantEaseDefaults.windowSize).describe('columns of such a set'),
  temperature: z
    .number()
    .min(0)
    .max(10)
    .default(quantEaseDefaults.temperature)
    .describe(
      'of annealed sweeps: how far weights move against the loss, in units of loss per column; 0: none',
    ),
  annealingSweeps: integer(0, 1000)
    .default(quantEaseDefaults.annealingSweeps)
    .describe('annealed sweeps, behind the first of the others; they get ten times cooler'),
  annealingPasses: integer(0, 1000)
    .default(quantEaseDefaults.annealingPasses)
    .describe('noisy passes over a block in each annealed sweep'),
  blockSize: blockSize(quantEaseDefaults.blockSize),
});

export const greedyOptions = quantEaseOptions.omit({ rule: true });

export const decoupleQOptions = quantEaseOptions.extend({
  refits: integer(0, 100)
    .default(decoupleQDefaults.refits)
    .describe('passes over a block in which scales and offsets are chosen, too'),
  trials: integer(0, 6)
    .default(decoupleQDefaults.trials)
    .describe('storable neighbours of the best scale and offset that a refit tries'),
});

export const outliersOptions = decoupleQOptions.omit({ scales: true }).extend({
  exchanges: integer(0, 100)
    .default(outliersDefaults.exchanges)
    .describe('outliers of a row and block of columns that may change places in a pass'),
});

export const nestedOptions = z.strictObject({
  trials: integer(1, 1000).default(nestedDefaults.trials).describe('widths of a row’s cells that are tried'),
  step: z
    .number()
    .min(0.001)
    .max(0.5)
    .default(nestedDefaults.step)
    .describe('how far they lie apart, as a share'),
  damping: damping(nestedDefaults.damping),
});

export const vptqOptions = z.strictObject({
  damping: damping(vptqDefaults.damping),
  iterations: integer(1, 1000)
    .default(vptqDefaults.iterations)
    .describe('rounds of k-means that codebooks start with'),
  passes: integer(1, 100)
    .default(vptqDefaults.passes)
    .describe('passes of error feedback, codebooks fitted in between'),
  sweeps: integer(0, 1000).default(vptqDefaults.sweeps).describe('rounds of joint refinement, at most'),
  tolerance: tolerance(vptqDefaults.tolerance),
  temperature: z
    .number()
    .min(0)
    .max(10)
    .default(vptqDefaults.temperature)
    .describe(
      'of annealed rounds: how far vectors move against the loss, in units of loss per column; 0: none',
    ),
  annealingSweeps: integer(0, 1000)
    .default(vptqDefaults.annealingSweeps)
    .describe('annealed rounds, behind the first of refinement; they get ten times cooler'),
  seed: integer(0, 65535)
    .default(vptqDefaults.seed)
    .describe('chooses the vectors that codebooks start from'),
  blockSize: blockSize(vptqDefaults.blockSize),
});
