import { type Architecture, matrixShape } from '../../architecture/architecture.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import { type CompressOptions, contradiction } from '../options.js';
import { defaultTokens } from './calibration-text.js';
import { productSpeed } from './estimate.js';
import { recipeOf } from './recipe-of.js';
import { type Work, workOf } from './work.js';

/** What an effort decides on where the caller does not. */
type Effort = Pick<CompressOptions, 'solver' | 'solverOptions' | 'match' | 'tokens'>;

/** Calibration tokens for each input of the widest layer, where not all of the text is taken. */
const [quickTokens, balancedTokens] = [0.75, 4];

/**
 * Recipes from the best to the quickest: coordinate descent with annealing and without, GPTQ for the original's outputs,
 * and GPTQ for a layer's own outputs, for which the original model need not be run.
 */
function efforts(architecture: Architecture): [thorough: Effort, ...Effort[]] {
  const widths = architecture.tensors
    .filter(({ kind }) => kind === 'linear')
    .map((spec) => matrixShape(spec)[1]);
  const perInput = (count: number, least: number) =>
    Math.min(defaultTokens, Math.max(least, count * Math.max(...widths)));
  return [
    { solver: 'decoupleq' },
    { solver: 'decoupleq', solverOptions: { temperature: 0 } },
    { solver: 'gptq', tokens: perInput(balancedTokens, 8192) },
    { solver: 'gptq', match: 'own', tokens: perInput(quickTokens, 4096) },
  ];
}

/** A machine to which `balanced` refers, so that it is the same recipe everywhere: two threads of a laptop. */
const nominal = { speed: 4e11, threads: 2 };
/** Seconds that the best recipe may take there before `balanced` takes a quicker one. */
const balancedSeconds = 600;

/**
 * Fills in what an effort decides on. `balanced` and the other words depend on the model only; a number of minutes is
 * compared with what this machine is expected to take, so that it may mean another recipe on another machine.
 * @throws TersorError for an effort beside a recipe or an importance matrix, which decide on the same
 */
export async function withEffort(
  context: Context,
  options: CompressOptions,
  architecture: Architecture,
  { warn }: Hooks,
): Promise<CompressOptions> {
  const { effort = 'balanced', imatrix, recipe } = options;
  // Both decide on the solution.
  const other = imatrix ? 'imatrix' : recipe ? 'recipe' : undefined;
  if (other && options.effort !== undefined) throw contradiction('effort', other);
  if (other) return options;
  const all = efforts(architecture).map((each) => filled(options, each));
  const [thorough = options] = all;
  const quick = all.at(-1) ?? options;
  const balanced = all.at(-2) ?? options;
  const secondsOf = (each: CompressOptions, speed: number, threads: number) => {
    const tokens = each.tokens ?? defaultTokens;
    const { solver, match, options: solverOptions } = recipeOf(each, { sequences: [], tokens }, {});
    return seconds(workOf(architecture, { solver, match, tokens, options: solverOptions }), speed, threads);
  };
  if (effort === 'thorough') return thorough;
  if (effort === 'quick') return quick;
  if (effort === 'balanced')
    return secondsOf(thorough, nominal.speed, nominal.threads) <= balancedSeconds ? thorough : balanced;
  const speed = await productSpeed(context);
  const chosen = all.find((each) => secondsOf(each, speed, context.threads) <= 60 * effort);
  if (!chosen) {
    const least = Math.ceil(secondsOf(quick, speed, context.threads) / 60);
    warn?.(`the quickest recipe is expected to take ${least} min here, more than --effort ${effort} allows`);
  }
  return chosen ?? quick;
}

/** Options with those of an effort in the place of what is left open; options of a solver go with their solver. */
function filled(options: CompressOptions, effort: Effort): CompressOptions {
  const { solver, solverOptions, match, tokens } = options;
  const isOpen = solver === undefined && solverOptions === undefined;
  const open = {
    ...(isOpen ? effort : {}),
    match: match ?? effort.match,
    tokens: tokens ?? effort.tokens,
  };
  const decided = Object.entries(open).filter(([, value]) => value !== undefined);
  return { ...options, ...Object.fromEntries(decided) };
}

const seconds = ({ flops, threadSeconds }: Work, speed: number, threads: number): number =>
  flops / speed + threadSeconds / threads;
