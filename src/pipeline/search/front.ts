import { searchFront } from '../../allocation/front.js';
import { searchOptions } from '../../allocation/index.js';
import type { Objective } from '../../architecture/architecture.js';
import { withContext } from '../context/context.js';
import type { JobHooks } from '../context/hooks.js';
import { planningSteps } from '../context/steps.js';
import type { CompressOptions } from '../options.js';
import { gather } from '../prepare/prepare.js';
import { recipeOf } from '../prepare/recipe-of.js';
import { choicesOf, createAllocationMeasure } from './measure-allocation.js';
import { type LevelTable, levelTable } from './table/table.js';

/** A choice of types that no other beats in both size and divergence. */
export interface FrontPoint {
  /** Bytes of all tensors. */
  readonly bytes: number;
  readonly bitsPerWeight: number;
  readonly objective: Objective;
  /** Expected mean on held-out text: KL divergence in nats per token, or of an encoder one less the cosine. */
  readonly divergence: number;
  /** How many tensors have each type. */
  readonly types: Readonly<Record<string, number>>;
  /** Beyond this point, bytes gain little. */
  readonly knee?: true;
}

/** Models measured for a front: enough for some ten points on it. */
export const measurements = 32;
/** Tokens that each is measured on, half of them scored. */
const tokens = 4096;
/** Bits per weight above which nothing is lost that anybody could measure. */
const mostBits = 9;

/** The table without types of more bits, where a tensor has others. */
function upTo(bits: number, table: LevelTable): LevelTable {
  const tensors = table.tensors.map((tensor) => {
    const elements = tensor.spec.shape.reduce((a, b) => a * b, 1);
    const levels = tensor.levels.filter(({ bytes }) => (8 * bytes) / elements <= bits);
    return levels.length > 0 ? { ...tensor, levels } : tensor;
  });
  return { ...table, tensors };
}

/**
 * The same points, of which that one is marked that lies farthest below the line from the first to the last (Kneedle:
 * Satopaa et al., 2011), if there is one between them.
 */
export function withKnee(points: readonly FrontPoint[]): FrontPoint[] {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last) return [];
  const depth = ({ bytes, divergence }: FrontPoint) =>
    1 -
    (bytes - first.bytes) / Math.max(1, last.bytes - first.bytes) -
    (divergence - last.divergence) / Math.max(Number.MIN_VALUE, first.divergence - last.divergence);
  const depths = points.map((point) => (point === first || point === last ? 0 : depth(point)));
  const deepest = depths.indexOf(Math.max(...depths));
  return points.map((point, index) =>
    index === deepest && (depths[index] ?? 0) > 1e-9 ? { ...point, knee: true } : point,
  );
}

/** What sizes cost what, over the whole range of types. */
export function planFront(options: CompressOptions, caller: JobHooks = {}): Promise<FrontPoint[]> {
  return withContext(options, caller, async (context, hooks) => {
    context.expect(planningSteps({ search: 'front' }));
    const settings = { measurements, ...options.searchOptions };
    searchOptions('front', settings);
    const materials = await gather(context, options, hooks);
    const { model, format, calibration } = materials;
    const all = await levelTable(context, materials, materials.options, hooks);
    const table = options.types ? all : upTo(mostBits, all);
    const measureAllocation = createAllocationMeasure(
      context,
      model,
      table,
      recipeOf(materials.options, calibration, {}),
    );
    const elements = model.architecture.tensors.reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    );
    let measured = 0;
    try {
      const points = await searchFront(
        choicesOf(table, format.alignment),
        async (allocation) => {
          const { value } = await measureAllocation(allocation, tokens);
          hooks.progress?.('front', ++measured, settings.measurements);
          return [value];
        },
        settings,
      );
      const found = points.map(({ bytes, levels, objectives }) => {
        const types: Record<string, number> = {};
        for (const [tensor, { levels: all }] of table.tensors.entries()) {
          const type = all[levels[tensor] ?? -1]?.type ?? '';
          types[type] = (types[type] ?? 0) + 1;
        }
        return {
          bytes,
          bitsPerWeight: (8 * bytes) / elements,
          objective: model.architecture.objective,
          divergence: objectives[1] ?? Number.NaN,
          types,
        };
      });
      return withKnee(found);
    } finally {
      await table.evaluator.release();
    }
  });
}
