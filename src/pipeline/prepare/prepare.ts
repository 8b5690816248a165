import { basename } from 'node:path';
import type { TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import { TersorError } from '../../errors.js';
import { checkSolver } from '../../solver/index.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import { findTypedFormat } from '../formats/index.js';
import { mixtureTypes } from '../formats/mixtures.js';
import { readImportance } from '../imatrix.js';
import { type CompressOptions, checkApplicable, contradiction, isSearch, withRecipe } from '../options.js';
import { allocate } from '../search/allocate.js';
import { tune } from '../search/tune.js';
import { assign, requestedType, requestedTypes } from './assign.js';
import { calibrationText, warnOfFewTokens } from './calibration-text.js';
import { withEffort } from './effort.js';
import { type Job, type Materials, refuseProblems } from './job.js';
import { leftOver } from './left-over.js';
import { partsOf } from './parts.js';
import type { Assignment, PlannedTensor, SearchResult } from './plan.js';
import type { Recipe } from './recipe.js';
import { recipeOf, solverOf } from './recipe-of.js';

/** Opens what a job is made from. Throws a TersorError for options that name nothing that there is. */
export async function gather(context: Context, given: CompressOptions, hooks: Hooks): Promise<Materials> {
  checkSolver(solverOf(given), given.solverOptions);
  if (given.imatrix) checkImportance(given, hooks);
  const format = findTypedFormat(given);
  checkApplicable(given, format.name);
  const model = await context.open(given.model);
  format.checkModel?.(model);
  for (const line of leftOver(model)) hooks.warn?.(line);
  const tokenizer = await context.tokenizer(model);
  const options = await withEffort(context, given, model.architecture, hooks);
  const importance = options.imatrix ? await readImportance(options.imatrix, model, context) : undefined;
  const calibration = await calibrationText(options, model, tokenizer, hooks);
  if (!importance) warnOfFewTokens(calibration, model.architecture, hooks);
  return { options, model, tokenizer, format, calibration, ...(importance ? { importance } : {}) };
}

/** @throws TersorError for options that need more than an importance matrix tells */
function checkImportance(options: CompressOptions, { warn }: Hooks): void {
  const solver = solverOf(options);
  const file = options.imatrix ?? '';
  if (solver !== 'rtn')
    throw new TersorError(
      `the solver ${solver} needs the second moments of a text, of which an importance matrix has the diagonal`,
      {
        code: 'invalid-option',
        file,
        remedy: 'leave --solver out, or give --calibration TEXT in the place of --imatrix',
      },
    );
  if (options.solverOptions)
    throw new TersorError(
      '--imatrix and --solver-option contradict each other: the matrix decides on scales',
      { code: 'invalid-option', file, remedy: 'leave one of them out' },
    );
  if (options.shrinkage !== undefined) throw contradiction('imatrix', 'shrinkage');
  if (isSearch(options))
    throw new TersorError('a search for types needs the second moments of a text', {
      code: 'invalid-option',
      file,
      remedy: 'give --type, or --calibration TEXT in the place of --imatrix',
    });
  warn?.(
    'with --imatrix every weight is rounded by itself under the importance of its input, and texts are measured on ' +
      'only; without it, layers are calibrated on the text, which gives a better model',
  );
}

/**
 * Takes every decision that the options leave open, before the work itself; where a size is asked for and no type,
 * that includes solving all tensors at all types they may get, and where the recipe is to be tuned, compressing the model
 * as often as recipes are tried.
 */
export async function prepare(context: Context, given: CompressOptions, hooks: Hooks): Promise<Job> {
  const job = await decide(context, given, hooks);
  const { tune: count } = given;
  if (!count) return remarked(job, hooks);
  if (given.recipe) {
    throw contradiction('tune', 'recipe');
  }
  refuseProblems(job);
  const { options, tuning } = await context.stopwatch.time('plan', () =>
    tune(context, job, job.options, count, hooks),
  );
  // What a file says of its recipe is part of its size, so that types for a size are chosen again.
  const tuned = await decide(context, options, hooks);
  return remarked({ ...tuned, plan: { ...tuned.plan, tuning } }, hooks);
}

function remarked(job: Job, { warn }: Hooks): Job {
  for (const line of job.format.remarks?.(job.assignments) ?? []) warn?.(line);
  return job;
}

async function decide(context: Context, given: CompressOptions, hooks: Hooks): Promise<Job> {
  const searching = isSearch(given);
  const materials = await gather(context, withRecipe(given), hooks);
  const { model, format, calibration, options } = materials;
  if (options.recipe) {
    const { recipe, types } = options.recipe;
    return draft(
      materials,
      options,
      recipe,
      (spec) => types[format.nameOf(model, spec)] ?? missing(model, spec),
    );
  }
  const mixed = mixture(materials, hooks);
  if (mixed) {
    const embedding = options.embeddingType ? { embedding: options.embeddingType } : {};
    const recipe = recipeOf(options, calibration, {
      ...(options.type ? { type: options.type } : {}),
      ...embedding,
    });
    return draft(materials, options, recipe, mixed);
  }
  if (!searching) {
    const types = requestedTypes(model, format, options, hooks.warn);
    const recipe = recipeOf(options, calibration, {
      type: types.linear ?? 'f32',
      embedding: types.embedding ?? 'f32',
    });
    return draft(materials, options, recipe, (spec) => requestedType(types, spec));
  }
  const recipe = recipeOf(options, calibration, {});
  return context.stopwatch.time('plan', () =>
    allocate(context, materials, recipe, options, hooks, (types, found) =>
      draft(materials, options, recipe, (spec) => types.get(spec) ?? 'f32', found),
    ),
  );
}

/** Types as llama.cpp's quantizer mixes them, where a mixture is asked for. */
function mixture({ model, options }: Materials, { warn }: Hooks): ((spec: TensorSpec) => string) | undefined {
  const { type = '', embeddingType, fallback } = options;
  const types = mixtureTypes(type, model.architecture, fallback === undefined);
  if (!types) return undefined;
  warn?.(
    `${type.toUpperCase()} mixes types as llama.cpp does; --size with as many bytes mixes them by what they cost`,
  );
  return (spec) =>
    (spec.kind === 'embedding' || spec.kind === 'head' ? embeddingType : undefined) ??
    types.get(spec) ??
    'f32';
}

function missing({ checkpoint }: Model, { names }: TensorSpec): never {
  throw new TersorError('the recipe has no type for it', {
    code: 'invalid-input',
    file: checkpoint.path,
    tensor: names.gguf,
    remedy: 'use a recipe that was made for this model and output format',
  });
}

/** The job that follows from a type for every tensor. */
function draft(
  materials: Materials,
  options: CompressOptions,
  recipe: Recipe,
  typeOf: (spec: TensorSpec) => string,
  found?: SearchResult,
): Job {
  const { model, format, importance } = materials;
  const { architecture, checkpoint } = model;
  const assignments = assign(model, format, typeOf, options);
  const beyond = assignments.find(({ spec, grid }) => importance?.of(spec) && grid.solver);
  if (beyond)
    throw new TersorError(`the type ${beyond.type} needs the second moments of a text`, {
      code: 'invalid-option',
      file: checkpoint.path,
      tensor: beyond.name,
      remedy: 'choose another type, or give --calibration TEXT in the place of --imatrix',
    });
  const name = options.name ?? basename(checkpoint.path).replace(/\.(gguf|bin|safetensors)$/, '');
  const layout = format.layout({ name, ...materials, assignments, recipe }, options);
  const stored = assignments.reduce((sum, { bytes }) => sum + bytes, 0);
  const elements = assignments.reduce((sum, tensor) => sum + tensor.elements, 0);
  return {
    ...materials,
    assignments,
    layout,
    recipe,
    plan: {
      model: checkpoint.path,
      architecture: architecture.modelType,
      tensors: assignments.map(publicPart),
      problems: assignments
        .filter((tensor) => tensor.reason && tensor.type === tensor.requestedType)
        .map(publicPart),
      format: format.name,
      recipe,
      bytes: layout.bytes,
      originalBytes: checkpoint.bytes,
      bitsPerWeight: (8 * stored) / elements,
      parts: partsOf(assignments),
      ...(found ? { search: found } : {}),
    },
  };
}

function publicPart({ spec: _spec, grid: _grid, ...tensor }: Assignment): PlannedTensor {
  return tensor;
}
