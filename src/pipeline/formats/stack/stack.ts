import type { Model } from '../../../architecture/model.js';
import { product } from '../../../checkpoint/decode.js';
import { byGain } from '../../../decomposition/order.js';
import { TersorError } from '../../../errors.js';
import { createDivergenceEvaluator } from '../../../evaluation/divergence-evaluator.js';
import { checkSolver } from '../../../solver/index.js';
import { requireConfig } from '../../../writer/folder.js';
import { checkOutput } from '../../../writer/output.js';
import {
  companionFiles,
  createStackWriter,
  type PlacedSlice,
  stackHeaderBytes,
} from '../../../writer/stack.js';
import type { Context } from '../../context/context.js';
import type { Hooks } from '../../context/hooks.js';
import { stackSteps } from '../../context/steps.js';
import { measure } from '../../measure/measure.js';
import type { Prefix } from '../../measure/result.js';
import { type CompressOptions, contradiction } from '../../options.js';
import { calibrationText, warnOfFewTokens } from '../../prepare/calibration-text.js';
import { provenance } from '../../prepare/provenance.js';
import { recipeOf } from '../../prepare/recipe-of.js';
import { heldOutText } from '../../search/table/table.js';
import type { Composed, ComposedFormat } from '../format.js';
import { type StackedRefinement, type StackedTensors, stackTensors } from './tensors.js';

/**
 * Refinements go through all sizes, so that descent, which searches beyond the nearest codes, pays at each of them. Much
 * damping keeps the weights themselves near: what error feedback leaves in directions without inputs costs the next
 * refinement bits (docs/results/sizes.md).
 */
const solving = { solver: 'quantease', options: { damping: 0.3 } } as const;
/** Tokens that single tensors are measured on; half of them are scored. */
const probeTokens = 4096;
/** Shares of the file that are measured when it is written. */
const measuredShares = [0.25, 0.5, 0.75, 1];

/** A file of which every part from the beginning is a model: all refinements of all tensors, the most useful first. */
export const stack: ComposedFormat = {
  name: 'stack',
  extension: '.stack',
  steps: stackSteps,
  check: (output) => checkOutput(output, '.stack'),
  compress: compressStack,
  unplanned: {
    problem: 'a stacked file is planned by writing it, since its order is measured',
    remedy: 'leave --dry-run out; any part of the finished file is a model',
  },
};

/**
 * Writes as many refinements as fit into a size, if one is asked for.
 * @throws TersorError for options that do not apply, and when the size is below that of the coarsest model
 */
async function compressStack(context: Context, options: CompressOptions, hooks: Hooks): Promise<Composed> {
  const { time } = context.stopwatch;
  if (options.recipe) throw contradiction('format', 'recipe');
  const recipe = {
    solver: options.solver ?? solving.solver,
    options: options.solverOptions ?? solving.options,
    shrinkage: options.shrinkage,
  };
  checkSolver(recipe.solver, recipe.options);
  const model = await time('prepare', () => context.open(options.model));
  const { checkpoint, architecture } = model;
  requireConfig(checkpoint, 'a stacked file');
  if (architecture.objective === 'embedding') {
    throw new TersorError('encoders are not stacked yet', {
      code: 'unsupported',
      file: checkpoint.path,
      remedy: 'write it with --format onnx or --format safetensors',
    });
  }
  const tokenizer = await context.tokenizer(model);
  const calibration = await calibrationText(options, model, tokenizer, hooks);
  warnOfFewTokens(calibration, architecture, hooks);
  const { heldOut, sequences } = calibration;
  const evaluator = await time('prepare', () =>
    createDivergenceEvaluator(model, heldOutText({ calibration }), { ...context, probeTokens }),
  );
  const writer = await createStackWriter(options.output);
  try {
    const stacked = await time('solve', () =>
      stackTensors(context, model, { sequences, evaluator, recipe, writer }, hooks),
    );
    const made = { ...options, solver: recipe.solver, solverOptions: recipe.options } as const;
    const header = {
      config: { ...checkpoint.metadata },
      files: await companionFiles(checkpoint, options.tokenizer ?? checkpoint.folder),
      provenance: provenance(recipeOf({ ...made, calibrateOn: 'original' }, calibration, {}), calibration),
      tensors: [...stacked.tensors],
    };
    const ordered = place(byGain(stacked.refinements));
    const elements = architecture.tensors.reduce((sum, { shape }) => sum + product(shape), 0);
    const slices = within(ordered, budget(options, elements), (some) => stackHeaderBytes(header, some));
    await time('write', () => writer.finish(header, slices));
    const written = await context.open(options.output);
    const prefixes = await measurePrefixes(context, options.output, { model, written, heldOut }, hooks);
    const whole = prefixes.at(-1)?.heldOut;
    return {
      bytes: written.checkpoint.bytes,
      originalBytes: checkpoint.bytes,
      bitsPerWeight: (8 * slices.reduce((sum, { bytes }) => sum + bytes, 0)) / elements,
      tensors: describeTensors(stacked, slices),
      resumed: 0,
      ...(whole ? { heldOut: whole, prefixes } : {}),
    };
  } finally {
    await writer.abort();
    await evaluator.release();
  }
}

/** What parts of the file are worth, where text was held out. */
async function measurePrefixes(
  context: Context,
  path: string,
  { model, written, heldOut }: { model: Model; written: Model; heldOut: readonly Int32Array[] },
  hooks: Hooks,
): Promise<Prefix[]> {
  const prefixes: Prefix[] = [];
  const silent: Hooks = hooks.signal ? { signal: hooks.signal } : {};
  for (const [index, share] of (heldOut.length > 0 ? measuredShares : []).entries()) {
    const lost = await context.stopwatch.time('measure', async () => {
      const result = await measure(
        context,
        path,
        { original: model, sequences: heldOut, portion: { share } },
        silent,
      );
      hooks.progress?.('measure', index + 1, measuredShares.length);
      return result;
    });
    if (!('heldOut' in lost)) throw new Error('encoders are not stacked');
    prefixes.push({ share, bytes: Math.floor(share * written.checkpoint.bytes), ...lost });
  }
  return prefixes;
}

/** Slices in the order of their refinements. */
const place = (refinements: readonly StackedRefinement[]): PlacedSlice[] =>
  refinements.flatMap(({ tensor, refinement, slices }) =>
    slices.map(({ from, to, position, bytes }) => ({
      position,
      bytes,
      entry: [tensor, refinement, from, to] as const,
    })),
  );

/** Bytes of the file at most. */
function budget({ size, bits }: CompressOptions, elements: number): number {
  if (size !== undefined && bits !== undefined) throw contradiction('size', 'bits');
  return size ?? (bits === undefined ? Number.POSITIVE_INFINITY : Math.floor((bits * elements) / 8));
}

/**
 * As many slices as fit.
 * @throws TersorError when that is less than the first refinement of everything
 */
function within(
  slices: readonly PlacedSlice[],
  most: number,
  headerBytes: (slices: readonly PlacedSlice[]) => number,
): readonly PlacedSlice[] {
  const stored = (some: readonly PlacedSlice[]) => some.reduce((sum, { bytes }) => sum + bytes, 0);
  const total = (some: readonly PlacedSlice[]) => headerBytes(some) + stored(some);
  if (total(slices) <= most) return slices;
  const least = slices.filter(({ entry: [, refinement] }) => refinement === 0);
  if (total(least) > most)
    throw new TersorError(`${most} bytes cannot be reached: the coarsest model takes ${total(least)}`, {
      remedy: `ask for ${total(least)} or more`,
    });
  let [fits, exceeds] = [least.length, slices.length];
  while (exceeds - fits > 1) {
    const middle = (fits + exceeds) >> 1;
    if (total(slices.slice(0, middle)) <= most) fits = middle;
    else exceeds = middle;
  }
  return slices.slice(0, fits);
}

/** What became of each tensor: the error where all of its rows have a refinement, by the last that is complete. */
function describeTensors({ tensors, refinements }: StackedTensors, slices: readonly PlacedSlice[]) {
  return tensors.map(({ name, steps }, tensor) => {
    const own = slices.filter(({ entry }) => entry[0] === tensor);
    const complete = refinements.filter(
      (each) =>
        each.tensor === tensor &&
        own.filter(({ entry }) => entry[1] === each.refinement).length === each.slices.length,
    );
    return {
      name,
      type: steps ? `stacked, ${complete.length} of ${steps.length}` : 'f32',
      bytes: own.reduce((sum, { bytes }) => sum + bytes, 0),
      relativeError: complete.at(-1)?.relativeError ?? 1,
    };
  });
}
