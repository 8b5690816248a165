import { basename } from 'node:path';
import type { Model } from '../architecture/model.js';
import { TersorError } from '../errors.js';
import { checkSolver } from '../solver/index.js';
import { type CalibrationText, calibrationText } from './calibration-text.js';
import { findFormat, type Layout, type OutputFormat } from './formats.js';
import type { Hooks } from './hooks.js';
import type { CompressOptions } from './options.js';
import { type Assignment, assign, type Plan, type PlannedTensor, requestedTypes } from './plan.js';
import type { Recipe } from './provenance.js';
import type { Workshop } from './workshop.js';

/** A job with every decision taken. */
export interface Job {
  readonly model: Model;
  readonly plan: Plan;
  readonly assignments: readonly Assignment[];
  readonly format: OutputFormat;
  readonly layout: Layout;
  readonly recipe: Recipe;
  readonly calibration: CalibrationText;
}

/** Takes every decision that the options leave open, before any work. */
export async function prepare(shop: Workshop, options: CompressOptions, hooks: Hooks): Promise<Job> {
  const {
    solver = 'gptq',
    prefix = 'compressed',
    target = 'asymmetric',
    overrides = [],
    fallback,
    solverOptions,
    seed,
  } = options;
  checkSolver(solver, solverOptions);
  const format = findFormat(options);
  const model = await shop.open(options.model);
  const { architecture, checkpoint } = model;
  const tokenizer = await shop.tokenizer(model);
  const types = requestedTypes(model, options, hooks.warn);
  const assignments = assign(model, format, types, options);
  const calibration = await calibrationText(options, model, tokenizer, hooks);
  const recipe: Recipe = {
    type: types.linear ?? 'f32',
    embedding: types.embedding ?? 'f32',
    ...(overrides.length > 0
      ? { overrides: Object.fromEntries(overrides.map(({ pattern, type }) => [pattern.source, type])) }
      : {}),
    ...(fallback ? { fallback } : {}),
    solver,
    ...(solverOptions ? { options: solverOptions } : {}),
    prefix,
    ...(prefix === 'compressed' ? { target } : {}),
    context: calibration.sequences[0]?.length ?? 0,
    tokens: calibration.tokens,
    ...(seed === undefined ? {} : { seed }),
  };
  const name = basename(checkpoint.path).replace(/\.(gguf|bin|safetensors)$/, '');
  const layout = format.layout({ name, model, tokenizer, assignments, recipe, calibration }, options);
  const stored = assignments.reduce((sum, { bytes }) => sum + bytes, 0);
  const elements = assignments.reduce((sum, tensor) => sum + tensor.elements, 0);
  return {
    model,
    assignments,
    format,
    layout,
    recipe,
    calibration,
    plan: {
      model: checkpoint.path,
      architecture: architecture.modelType,
      tensors: assignments.map(publicPart),
      problems: assignments
        .filter((tensor) => tensor.reason && tensor.type === tensor.requestedType)
        .map(publicPart),
      bytes: layout.bytes,
      originalBytes: checkpoint.bytes,
      bitsPerWeight: (8 * stored) / elements,
    },
  };
}

function publicPart({ spec: _spec, grid: _grid, ...tensor }: Assignment): PlannedTensor {
  return tensor;
}

/** @throws TersorError when tensors do not fit their type and no fallback was given */
export function refuseProblems({ plan: { problems, model } }: Job): void {
  const [first] = problems;
  if (!first) return;
  throw new TersorError(
    `${first.reason}${problems.length > 1 ? `, and so it is with ${problems.length - 1} more tensors` : ''}`,
    {
      file: model,
      tensor: first.name,
      remedy: 'give --fallback TYPE for them (such as iq4_nl or q8_0), or see --dry-run for the list',
    },
  );
}
