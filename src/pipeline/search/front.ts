import { searchFront } from '../../allocation/front.js';
import { searchOptions } from '../../allocation/index.js';
import type { Objective } from '../../architecture/architecture.js';
import type { Hooks } from '../context/hooks.js';
import { levelTable } from './table/table.js';
import type { CompressOptions } from '../options.js';
import { gather, recipeOf } from '../prepare/prepare.js';
import { withWorkshop } from '../context/context.js';
import { choicesOf, createJudge } from './measure-allocation.js';

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
}

/** Models measured for a front: enough for some ten points on it. */
export const measurements = 32;
/** Tokens that each is measured on, half of them scored. */
const tokens = 4096;

/** What sizes cost what, over the whole range of types. */
export function front(options: CompressOptions, hooks: Hooks = {}): Promise<FrontPoint[]> {
  return withWorkshop(options, hooks, async (shop) => {
    const settings = { measurements, ...options.searchOptions };
    searchOptions('front', settings);
    const materials = await gather(shop, options, hooks);
    const { model, format, calibration } = materials;
    const table = await levelTable(shop, materials, options, hooks);
    const judge = createJudge(shop, model, table, recipeOf(options, calibration, {}));
    const elements = model.architecture.tensors.reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    );
    let measured = 0;
    try {
      const points = await searchFront(
        choicesOf(table, format.alignment),
        async (allocation) => {
          const { value } = await judge(allocation, tokens);
          hooks.progress?.('front', ++measured, settings.measurements);
          return [value];
        },
        settings,
      );
      return points.map(({ bytes, levels, objectives }) => {
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
    } finally {
      await table.referee.release();
    }
  });
}
