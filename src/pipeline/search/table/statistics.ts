import type { Architecture, TensorSpec } from '../../../architecture/architecture.js';
import type { Hidden } from '../../../architecture/forward.js';
import { createObserver } from '../../../calibration/observe.js';
import type { Arrays } from '../../../graph/program.js';
import { toPanel } from '../../../kernels/panel.js';
import { valueEntropy } from '../../../sensitivity/entropy.js';
import type { TensorStatistics } from '../../../sensitivity/measure.js';
import { squaredDistance, valueStatistics } from '../../../sensitivity/statistics.js';
import { layerEnergy, ratio } from '../../../solver/layer-error.js';
import type { Matrix, Moments } from '../../../types.js';
import type { Context } from '../../context/context.js';
import { weightMatrix } from './weight-matrix.js';

/** What measures of sensitivity need of a block, besides the errors of its tensors' levels. */
interface BlockStatistics {
  /** Of each linear layer's inputs, by role; nats. */
  readonly entropies: ReadonlyMap<string, number>;
  /** Between what enters the block and what leaves it, mean over tokens. */
  readonly cosine: number;
}

/** Collects what measures of sensitivity need (src/sensitivity/measure.ts). */
export interface Statistician {
  /** Looks at the first batch of what enters a block. */
  block(block: number, hidden: readonly Hidden[], weights: Arrays): Promise<BlockStatistics>;
  tensor(
    spec: TensorSpec,
    weight: Float32Array,
    moments?: Moments,
    block?: BlockStatistics,
  ): Promise<TensorStatistics>;
  /** ‖W − Ŵ‖² / ‖W‖². */
  weightError(spec: TensorSpec, weight: Float32Array, values: Float32Array): Promise<number>;
  release(): Promise<void>;
}

export function createStatistician(architecture: Architecture, context: Context): Statistician {
  const { kernels } = context;
  const observer = createObserver(architecture, context);
  return {
    async block(block, [first], weights) {
      if (!first) throw new Error('there is no text to observe');
      const { sites, cosine } = await observer.observe(block, first, weights);
      const entropies = new Map<string, number>();
      for (const { roles, inputs } of sites) {
        const entropy = await valueEntropy(kernels, inputs);
        for (const role of roles) entropies.set(role, entropy);
      }
      return { entropies, cosine };
    },

    async tensor(spec, weight, moments, block) {
      const matrix = weightMatrix(spec, weight);
      const { energy, outliers } = await valueStatistics(kernels, matrix);
      return {
        elements: weight.length,
        energy: moments ? await outputEnergy(context, matrix, moments) : energy / matrix.rows,
        outliers,
        entropy: block?.entropies.get(spec.role) ?? (await valueEntropy(kernels, matrix)),
        ...(block ? { cosine: block.cosine } : {}),
        norm: energy,
        depth: spec.block === undefined ? 0 : (spec.block + 1) / architecture.layers,
      };
    },

    async weightError(spec, weight, values) {
      const matrix = weightMatrix(spec, weight);
      const { energy } = await valueStatistics(kernels, matrix);
      return ratio(await squaredDistance(kernels, matrix, { ...matrix, data: values }), energy);
    },

    release: observer.release,
  };
}

/** tr(W H Wᵀ). */
function outputEnergy(context: Context, matrix: Matrix, { gram }: Moments): Promise<number> {
  return context.kernels.scope(async (arena) =>
    layerEnergy({ ...context, arena }, gram, await toPanel(context.kernels, arena, matrix)),
  );
}
