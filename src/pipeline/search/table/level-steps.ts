import type { TensorSpec } from '../../../architecture/architecture.js';
import type { Probe } from '../../../evaluation/divergence-evaluator.js';
import { required } from '../../../required.js';
import type { TensorStatistics } from '../../../sensitivity/measure.js';
import type { Moments } from '../../../types.js';
import { codeVersion } from '../../../version.js';
import type { Context } from '../../context/context.js';
import { checkAborted, type Hooks } from '../../context/hooks.js';
import { keyOf, numberBytes, readNumber, type Store } from '../../context/store.js';
import { rowImportance } from '../../solve/rows.js';
import { type Solved, type SolvedLevel, solveLevel } from './entries.js';
import type { LevelRequest, TensorLevels } from './request.js';
import { createStatistician, type Statistician } from './statistics.js';

/** What measures of sensitivity want to know of a tensor, where they were asked. */
interface Description {
  readonly weightErrors: ReadonlyMap<Solved, number>;
  readonly statistics?: TensorStatistics;
}

interface SolvedProbe extends Probe {
  readonly of: Solved;
}

/** The steps by which a level table grows; the store gives what it has. */
export interface LevelSteps {
  readonly statistician: Statistician | undefined;
  /** One tensor at every level that it may get. */
  solve(spec: TensorSpec, weight: Float32Array, moments?: Moments): Promise<Solved[]>;
  /** Errors of a tensor's weights at each level, and what is known of the tensor itself. */
  describe(solved: readonly Solved[], ...about: Parameters<Statistician['tensor']>): Promise<Description>;
  /**
   * Mean divergences of the model with one tensor at some of its levels, for several tensors together.
   * @param measure the divergences of those that the store does not have
   */
  divergences(
    tensors: Iterable<readonly [TensorSpec, readonly Solved[]]>,
    measure: (probes: readonly Probe[]) => Promise<readonly number[]>,
  ): Promise<ReadonlyMap<Solved, number>>;
  record(
    spec: TensorSpec,
    solved: readonly Solved[],
    divergences: ReadonlyMap<Solved, number>,
    description?: Description,
  ): void;
  /** What is recorded, in the order of the candidates. */
  table(): TensorLevels[];
}

export async function createLevelSteps(
  context: Context,
  store: Store,
  { model, candidates, recipe, calibration, evaluator, probed, statistics: wanted }: LevelRequest,
  hooks: Hooks,
): Promise<LevelSteps> {
  const { time } = context.stopwatch;
  const importance = await rowImportance(
    context,
    model,
    candidates.flatMap(({ grids }) => grids),
    calibration,
  );
  const statistician = wanted ? createStatistician(model.architecture, context) : undefined;
  const gridsOf = new Map(candidates.map(({ spec, grids }) => [spec, grids]));
  const total = candidates.reduce((sum, { grids }) => sum + grids.length, 0);
  const table = new Map<TensorSpec, Pick<TensorLevels, 'levels' | 'statistics'>>();
  let done = 0;

  /** The levels of a tensor whose effect on the model is measured. */
  const probesOf = async (spec: TensorSpec, solved: readonly Solved[]): Promise<SolvedProbe[]> => {
    const chosen = probed(
      solved.map(({ level }) => level.grid),
      spec,
    );
    const probes: SolvedProbe[] = [];
    for (const of of solved.filter(({ level }) => chosen.includes(level.grid)))
      probes.push({ role: spec.role, weight: await of.values(), of });
    return probes;
  };
  const keyOfProbe = ({ of }: SolvedProbe) => keyOf('divergence', of.level.key, evaluator.fingerprint);

  return {
    statistician,
    async solve(spec, weight, moments) {
      const { gram, heldOut } = moments ?? {};
      const known = [gram, heldOut?.own].map((matrix) => matrix?.data ?? '');
      const identity = keyOf(weight, ...known, JSON.stringify(recipe), codeVersion());
      const results: Solved[] = [];
      for (const grid of required(gridsOf, spec)) {
        checkAborted(hooks);
        results.push(
          await time('solve', () =>
            solveLevel(context, store, {
              spec,
              grid,
              weight,
              moments,
              recipe,
              identity,
              importance: importance.get(spec),
            }),
          ),
        );
        hooks.progress?.('levels', ++done, total);
      }
      return results;
    },

    async describe(solved, ...about) {
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
    },

    async divergences(tensors, measure) {
      const results = new Map<Solved, number>();
      const missing: SolvedProbe[] = [];
      for (const [spec, solved] of tensors) {
        for (const probe of await probesOf(spec, solved)) {
          const known = await store.get(keyOfProbe(probe));
          if (known) results.set(probe.of, readNumber(known));
          else missing.push(probe);
        }
      }
      const measured = await time('measure', () => measure(missing));
      for (const [index, probe] of missing.entries()) {
        const divergence = required(measured, index);
        results.set(probe.of, divergence);
        await store.put(keyOfProbe(probe), numberBytes(divergence));
      }
      return results;
    },

    record(spec, solved, divergences, { weightErrors, statistics } = { weightErrors: new Map() }) {
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
    },

    table: () => candidates.map(({ name, spec }) => ({ name, spec, ...required(table, spec) })),
  };
}
