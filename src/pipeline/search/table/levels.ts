import { blockTensors, type TensorSpec } from '../../../architecture/architecture.js';
import { createForward } from '../../../architecture/forward.js';
import type { Model } from '../../../architecture/model.js';
import { createCalibrator, type Visit } from '../../../calibration/walk.js';
import type { DivergenceEvaluator, Probe } from '../../../evaluation/divergence-evaluator.js';
import { type Grid, isCoded } from '../../../grid/grid.js';
import type { TensorStatistics } from '../../../sensitivity/measure.js';
import type { Moments } from '../../../types.js';
import { codeVersion } from '../../../version.js';
import type { Context } from '../../context/context.js';
import { checkAborted, type Hooks } from '../../context/hooks.js';
import { keyOf, numberBytes, readNumber, type Store } from '../../context/store.js';
import { tokenEmbeddingMoments } from '../../solve/embedding-and-head.js';
import { rowImportance } from '../../solve/rows.js';
import type { TensorRecipe } from '../../solve/tensor.js';
import { type Solved, type SolvedLevel, solveLevel } from './entries.js';
import { createStatistician, type Statistician } from './statistics.js';

/** A tensor with all its levels, in the order of the candidates. */
export interface TensorLevels {
  /** As the output calls it. */
  readonly name: string;
  readonly spec: TensorSpec;
  readonly levels: readonly SolvedLevel[];
  /** Of tensors with more than one level, where they were asked for. */
  readonly statistics?: TensorStatistics;
}

export interface LevelRequest {
  readonly model: Model;
  /** What is to be tried for each tensor; a single candidate is taken as it is. */
  readonly candidates: readonly {
    readonly name: string;
    readonly spec: TensorSpec;
    readonly grids: readonly Grid[];
  }[];
  readonly recipe: TensorRecipe;
  /** Text for moments. */
  readonly calibration: readonly Int32Array[];
  readonly evaluator: DivergenceEvaluator;
  /** Levels of one tensor whose divergence is measured, of the candidates that are not plain numbers. */
  readonly probed: (grids: readonly Grid[], spec: TensorSpec) => readonly Grid[];
  /** Whether statistics of tensors and errors of weights are wanted. */
  readonly statistics: boolean;
}

/** What measures of sensitivity want to know of a tensor, where they were asked. */
interface Description {
  readonly weightErrors: ReadonlyMap<Solved, number>;
  readonly statistics?: TensorStatistics;
}

interface SolvedProbe extends Probe {
  readonly of: Solved;
}

/**
 * Solves every tensor at every level, one block at a time, and measures what some of the levels do to the model. The
 * store gives what it has; so an interrupted run goes on where it was.
 */
export async function solveLevels(
  context: Context,
  store: Store,
  request: LevelRequest,
  hooks: Hooks,
): Promise<TensorLevels[]> {
  const { model, candidates, recipe, calibration, evaluator, probed } = request;
  const { architecture } = model;
  const { time } = context.stopwatch;
  const importance = await rowImportance(
    context,
    model,
    candidates.flatMap(({ grids }) => grids),
    calibration,
  );
  const forward = createForward(architecture, context);
  const calibrator = createCalibrator(architecture, context);
  const statistician = request.statistics ? createStatistician(architecture, context) : undefined;
  const wanted = new Map(candidates.map((candidate) => [candidate.spec, candidate]));
  const total = candidates.reduce((sum, { grids }) => sum + grids.length, 0);
  const table = new Map<TensorSpec, Pick<TensorLevels, 'levels' | 'statistics'>>();
  let done = 0;

  const solveTensor = async (
    spec: TensorSpec,
    weight: Float32Array,
    moments?: Moments,
  ): Promise<Solved[]> => {
    const grids = wanted.get(spec)?.grids ?? [];
    const identity = keyOf(weight, moments?.gram.data ?? '', JSON.stringify(recipe), codeVersion());
    const results: Solved[] = [];
    for (const grid of grids) {
      checkAborted(hooks);
      results.push(
        await time('solve', () =>
          solveLevel(context, store, { spec, grid }, weight, moments, recipe, identity, importance.get(spec)),
        ),
      );
      hooks.progress?.('levels', ++done, total);
    }
    return results;
  };
  /** The levels of a tensor whose effect on the model is measured. */
  const probesOf = async (spec: TensorSpec, solved: readonly Solved[]) => {
    const chosen = probed(
      solved.map(({ level }) => level.grid),
      spec,
    );
    const probes: SolvedProbe[] = [];
    for (const of of solved.filter(({ level }) => chosen.includes(level.grid))) {
      probes.push({ role: spec.role, weight: await of.values(), of });
    }
    return probes;
  };
  /** Errors of a tensor's weights at each level, and what is known of the tensor itself. */
  const describe = async (
    solved: readonly Solved[],
    ...about: Parameters<Statistician['tensor']>
  ): Promise<Description> => {
    if (!statistician || solved.length < 2) return { weightErrors: new Map() };
    const [spec, weight] = about;
    const weightErrors = new Map<Solved, number>();
    for (const each of solved) {
      const key = keyOf('weight error', each.level.key);
      const known = await store.get(key);
      const error = known
        ? readNumber(known)
        : await statistician.weightError(spec, weight, await each.values());
      if (!known) await store.put(key, numberBytes(error));
      weightErrors.set(each, error);
    }
    return { weightErrors, statistics: await statistician.tensor(...about) };
  };
  const record = (
    spec: TensorSpec,
    solved: readonly Solved[],
    divergences: ReadonlyMap<Solved, number>,
    { weightErrors, statistics }: Description = { weightErrors: new Map() },
  ) => {
    const levels = solved.map((each): SolvedLevel => {
      const [divergence, weightError] = [divergences.get(each), weightErrors.get(each)];
      return {
        ...each.level,
        loss: 0,
        ...(divergence === undefined ? {} : { divergence }),
        ...(weightError === undefined ? {} : { weightError }),
      };
    });
    table.set(spec, { levels, ...(statistics ? { statistics } : {}) });
  };

  /** Divergences by probe: those in the store, and the others measured together. */
  const divergencesOf = async (
    probes: readonly SolvedProbe[],
    measure: (probes: readonly SolvedProbe[]) => Promise<readonly number[]>,
  ) => {
    const results = new Map<Solved, number>();
    const missing: SolvedProbe[] = [];
    const keyOfProbe = ({ of }: SolvedProbe) => keyOf('divergence', of.level.key, evaluator.fingerprint);
    for (const probe of probes) {
      const known = await store.get(keyOfProbe(probe));
      if (known) results.set(probe.of, readNumber(known));
      else missing.push(probe);
    }
    const measured = await time('measure', () => measure(missing));
    for (const [index, probe] of missing.entries()) {
      const divergence = measured[index] ?? Number.NaN;
      results.set(probe.of, divergence);
      await store.put(keyOfProbe(probe), numberBytes(divergence));
    }
    return results;
  };

  const solveAll = async (): Promise<void> => {
    const outside = await time('read', () => model.readBlock(undefined));
    /** Tensors outside the blocks of some kinds; `momentsOf` is asked for embedding and head only. */
    const solveOutside = async (
      isWanted: (spec: TensorSpec) => boolean,
      momentsOf: () => Promise<Moments>,
    ) => {
      for (const spec of blockTensors(architecture, undefined).filter(isWanted)) {
        const weight = outside[spec.role];
        if (!weight) continue;
        const isEmbeddingOrHead = spec.kind === 'embedding' || spec.kind === 'head';
        const coded = wanted.get(spec)?.grids.some(isCoded);
        const solved = await solveTensor(
          spec,
          weight,
          isEmbeddingOrHead && coded ? await momentsOf() : undefined,
        );
        const divergences = await divergencesOf(await probesOf(spec, solved), async (probes) => {
          const means: number[] = [];
          for (const probe of probes) means.push(await evaluator.outside(probe));
          return means;
        });
        record(spec, solved, divergences, await describe(solved, spec, weight));
      }
    };
    await solveOutside(
      ({ kind }) => kind !== 'head',
      () => tokenEmbeddingMoments(context, model, calibration, outside),
    );

    let hidden = await time('calibrate', () => forward.embedAll(calibration, outside));
    for (let block = 0; block < architecture.layers; block++) {
      const weights = await time('read', () => model.readBlock(block));
      const left = new Map(blockTensors(architecture, block).map((spec) => [spec.role, spec]));
      const solved = new Map<TensorSpec, Solved[]>();
      const descriptions = new Map<TensorSpec, Description>();
      const seen = await time('calibrate', async () => statistician?.block(hidden, weights));
      const visit: Visit = async (roles, moments) => {
        for (const role of roles) {
          const [spec, weight] = [left.get(role), weights[role]];
          left.delete(role);
          if (!spec || !weight) continue;
          const results = await solveTensor(spec, weight, moments);
          solved.set(spec, results);
          descriptions.set(spec, await describe(results, spec, weight, moments, seen));
        }
      };
      hidden = (await time('calibrate', () => calibrator.walk({ hidden, weights }, visit))).output;
      for (const [role, spec] of left)
        solved.set(spec, await solveTensor(spec, weights[role] ?? new Float32Array()));

      const probes: SolvedProbe[] = [];
      for (const [spec, results] of solved) probes.push(...(await probesOf(spec, results)));
      const divergences = await divergencesOf(probes, (missing) => evaluator.block(block, weights, missing));
      for (const [spec, results] of solved) record(spec, results, divergences, descriptions.get(spec));
    }
    await solveOutside(
      ({ kind }) => kind === 'head',
      () => time('calibrate', () => calibrator.head({ hidden, weights: outside })),
    );
  };
  try {
    await solveAll();
  } finally {
    await Promise.all([forward.release(), calibrator.release(), statistician?.release()]);
  }
  return candidates.map(({ name, spec }) => ({ name, spec, ...(table.get(spec) ?? { levels: [] }) }));
}
