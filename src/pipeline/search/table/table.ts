import type { TensorSpec } from '../../../architecture/architecture.js';
import { TersorError } from '../../../errors.js';
import {
  createDivergenceEvaluator,
  type DivergenceEvaluator,
} from '../../../evaluation/divergence-evaluator.js';
import { type Grid, isCoded } from '../../../grid/grid.js';
import { required } from '../../../required.js';
import { findSensitivityMeasure } from '../../../sensitivity/index.js';
import type { SensitivityMeasure } from '../../../sensitivity/measure.js';
import { spread } from '../../../text/corpus.js';
import type { Context } from '../../context/context.js';
import type { Hooks } from '../../context/hooks.js';
import { defaultStoreFolder, openStore, type Store } from '../../context/store.js';
import type { CompressOptions } from '../../options.js';
import { candidateGrids } from '../../prepare/assign.js';
import type { CalibrationText } from '../../prepare/calibration-text.js';
import type { Job, Materials } from '../../prepare/job.js';
import { addCurvature } from './curvature.js';
import { solveLevels } from './levels.js';
import type { LevelRequest, TensorLevels } from './request.js';

/** What levels are solved with, whatever solves the tensors in the end: it orders them as well as slower ones do. */
export const tableSolver = 'gptq';
/** Calibration tokens for levels. */
export const tableTokens = 16384;
/** Tokens that whole models are evaluated on, and the first of them for single levels; half of them are scored. */
const evaluatedTokens = 8192;
const probeTokens = 4096;

export const defaultSensitivity = 'divergence';

/**
 * The level table of a model: every tensor solved at every type that the output can hold, with the loss that it
 * does.
 */
export interface LevelTable {
  readonly store: Store;
  readonly evaluator: DivergenceEvaluator;
  readonly tensors: readonly TensorLevels[];
}

export function levelTable(
  context: Context,
  materials: Materials,
  options: CompressOptions,
  hooks: Hooks,
  measure: SensitivityMeasure = findSensitivityMeasure(options.sensitivity ?? defaultSensitivity),
): Promise<LevelTable> {
  const { model, format } = materials;
  refuseJoinedExperts(materials);
  const candidates = model.architecture.tensors.map((spec) => ({
    spec,
    name: format.nameOf(model, spec),
    grids: candidateGrids(model, format, spec, options),
  }));
  return tableOf(context, materials, candidates, options, hooks, measure);
}

/** @throws TersorError where experts that would be searched apart have to have one type */
function refuseJoinedExperts({ model, format }: Materials): void {
  if (!format.joinsExperts || !model.architecture.tensors.some(({ expert }) => expert)) return;
  throw new TersorError(`${format.name} keeps all experts of a layer in one type, which no search does yet`, {
    code: 'unsupported',
    file: model.checkpoint.path,
    remedy: 'give --type, with --override for single layers, or --format safetensors',
  });
}

/** Nothing is measured of single levels where there is nothing to choose. */
const unmeasured: Pick<SensitivityMeasure, 'needs' | 'loss'> = {
  needs: [],
  loss: ({ levels }) => levels.map(() => 0),
};

/** The table of a plan with a type for every tensor. */
export const plannedTable = (
  context: Context,
  job: Materials & Pick<Job, 'assignments'>,
  options: CompressOptions,
  hooks: Hooks,
): Promise<LevelTable> =>
  tableOf(
    context,
    job,
    job.assignments.map(({ spec, name, grid }) => ({ spec, name, grids: [grid] })),
    options,
    hooks,
    unmeasured,
  );

async function tableOf(
  context: Context,
  materials: Materials,
  candidates: LevelRequest['candidates'],
  options: CompressOptions,
  hooks: Hooks,
  measure: Pick<SensitivityMeasure, 'needs' | 'loss'>,
): Promise<LevelTable> {
  const { model, calibration } = materials;
  const needs = measure.needs.filter((need) => need !== 'divergence' && need !== 'statistics');
  if (model.architecture.objective === 'embedding' && needs.some((need) => /gradients$/.test(need))) {
    throw new TersorError(
      `--sensitivity ${options.sensitivity} needs next tokens, which an encoder does not predict`,
      {
        code: 'unsupported',
        file: model.checkpoint.path,
        remedy: 'leave --sensitivity out, or choose trace, hutchinson or eigenvalue',
      },
    );
  }
  const store = await openStore(options.store ?? defaultStoreFolder);
  const evaluator = await createDivergenceEvaluator(model, heldOutText(materials), {
    ...context,
    probeTokens,
  });
  const request = {
    model,
    candidates,
    recipe: { solver: tableSolver, shrinkage: options.shrinkage },
    calibration: calibrationForTable(calibration),
    evaluator,
    probed: measure.needs.includes('divergence') ? probed : () => [],
    statistics: measure.needs.includes('statistics'),
  };
  const tensors = await solveLevels(context, store, request, hooks).catch(async (error) => {
    await evaluator.release();
    throw error;
  });
  const described = await addCurvature(context, store, request, tensors, needs, hooks).catch(
    async (error) => {
      await evaluator.release();
      throw error;
    },
  );
  return {
    store,
    evaluator,
    tensors: described.map((tensor) => {
      const loss = measure.loss(tensor);
      return { ...tensor, levels: tensor.levels.map((level, i) => ({ ...level, loss: required(loss, i) })) };
    }),
  };
}

/** The part of the calibration text that levels are solved on. */
export const calibrationForTable = ({ sequences }: CalibrationText): Int32Array[] =>
  spread(sequences, tableTokens);

/** Text that loss is measured on, not calibrated on where there is enough. */
export function heldOutText({
  calibration: { heldOut, sequences },
}: Pick<Materials, 'calibration'>): readonly Int32Array[] {
  return spread(heldOut.length > 0 ? heldOut : sequences, evaluatedTokens);
}

/**
 * Of a linear layer the smallest level and one of about five bits: between them lie most of those that are chosen.
 * There are few tensors outside the blocks and they are large, so that all their levels are measured.
 */
function probed(grids: readonly Grid[], { kind }: TensorSpec): readonly Grid[] {
  const coded = grids.filter(isCoded);
  if (coded.length < 2) return [];
  if (kind !== 'linear') return coded;
  const bits = ({ blockBytes, blockSize }: Grid) => (8 * blockBytes) / blockSize;
  const nearest = (target: number) =>
    coded.toSorted((a, b) => Math.abs(bits(a) - target) - Math.abs(bits(b) - target))[0];
  return [...new Set([nearest(0), nearest(5)])].flatMap((grid) => grid ?? []);
}
