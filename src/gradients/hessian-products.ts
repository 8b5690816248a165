import { blockTensors, type TensorSpec } from '../architecture/architecture.js';
import type { Model } from '../architecture/model.js';
import { createArithmetic } from '../graph/arithmetic.js';
import type { Arrays } from '../graph/program.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { createDivergenceGradients, type Side } from './divergence-gradients.js';
import { embeddingAndHead } from './weight-gradients.js';

/** A direction in which a weight is moved, and how far. */
export interface Direction {
  readonly vector: Float32Array;
  /** The weight goes to W ± step · vector. */
  readonly step: number;
}

/**
 * Products of vectors with the Hessian of the mean divergence from the model itself, nats per token (of an encoder, one
 * less the cosine per text). Since that has its minimum where the model is, its Hessian is the Gauss–Newton matrix, which
 * is the Fisher information: unlike the Hessian of the training loss it has no negative eigenvalues.
 */
export interface HessianProducts {
  /** H_ii v, for the part of the Hessian that belongs to one weight. */
  own(spec: TensorSpec, direction: Direction): Promise<Float32Array>;
  /**
   * Σ_j H_ij v_j s_j / s_i for every weight i, with s_j the steps: for vectors whose elements are independent of each other
   * with mean 0 and variance 1 the terms of other weights have mean 0. One pass through the model for all weights.
   */
  all(
    direction: (spec: TensorSpec, weight: Float32Array) => Promise<Direction>,
    visit: (spec: TensorSpec, vector: Float32Array, product: Float32Array) => Promise<void>,
  ): Promise<void>;
  release(): Promise<void>;
}

/**
 * By central differences of gradients, (∇L(w + s v) − ∇L(w − s v)) / 2s, whose error is of the order s²: exact second
 * derivatives would need a rule of rules for each op. Keeps the inputs of all blocks in memory, layers × tokens × hidden
 * floats, and twice as many again while it works.
 */
export async function createHessianProducts(
  { architecture, readBlock }: Pick<Model, 'architecture' | 'readBlock'>,
  texts: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<HessianProducts> {
  const { layers } = architecture;
  const gradients = await createDivergenceGradients({ architecture, readBlock }, texts, options);
  const arithmetic = createArithmetic(options);

  const moved = (weight: Float32Array | undefined, { vector, step }: Direction, sign: number) =>
    arithmetic.plus(weight ?? new Float32Array(vector.length), sign * step, vector);
  const slope = (difference: Float32Array, { step }: Direction) =>
    arithmetic.scale(1 / (2 * step * gradients.count), difference);

  /**
   * Takes both sides from the model's end to the inputs of a block.
   * @param visit called behind every block whose linear layers are wanted
   */
  const descend = async (
    weightsOf: (block: number | undefined, sign: number) => Promise<Arrays>,
    { to, table, wanted }: { to: number; table: boolean; wanted: (block: number) => boolean },
    visit: (block: number, sides: readonly Side[]) => Promise<void>,
  ): Promise<readonly Side[]> => {
    const sides: Side[] = [];
    for (const sign of signs)
      sides.push(await gradients.open((block) => weightsOf(block, sign), { from: to, table }));
    for (let block = layers - 1; block >= to; block--) {
      for (const side of sides) await gradients.descend(side, block, wanted(block));
      if (wanted(block)) await visit(block, sides);
    }
    return sides;
  };

  return {
    async own(spec, direction) {
      const { block, role } = spec;
      const weightsOf = async (at: number | undefined, sign: number) => {
        const weights = await readBlock(at);
        return at === block ? { ...weights, [role]: await moved(weights[role], direction, sign) } : weights;
      };
      let difference: Float32Array | undefined;
      const sides = await descend(
        weightsOf,
        { to: block ?? 0, table: block === undefined, wanted: (at) => at === block },
        async (_, both) => {
          difference = await gradients.layerDifference(spec, both);
        },
      );
      return slope(difference ?? (await gradients.tableDifference(spec, sides)), direction);
    },

    async all(direction, visit) {
      const weightsOf = async (block: number | undefined, sign: number) => {
        const weights = { ...(await readBlock(block)) };
        for (const spec of movable(blockTensors(architecture, block))) {
          const weight = weights[spec.role];
          if (weight) weights[spec.role] = await moved(weight, await direction(spec, weight), sign);
        }
        return weights;
      };
      const visitWith = async (
        spec: TensorSpec,
        weight: Float32Array | undefined,
        difference: Float32Array,
      ) => {
        const own = await direction(spec, weight ?? new Float32Array());
        await visit(spec, own.vector, await slope(difference, own));
      };
      const sides = await descend(
        weightsOf,
        { to: 0, table: true, wanted: () => true },
        async (block, both) => {
          const weights = await readBlock(block);
          for (const spec of movable(blockTensors(architecture, block)))
            await visitWith(spec, weights[spec.role], await gradients.layerDifference(spec, both));
        },
      );
      const outside = await readBlock(undefined);
      for (const spec of embeddingAndHead(architecture))
        await visitWith(spec, outside[spec.role], await gradients.tableDifference(spec, sides));
    },

    async release() {
      await Promise.all([gradients.release(), arithmetic.release()]);
    },
  };
}

const signs = [1, -1] as const;

const movable = (specs: readonly TensorSpec[]): TensorSpec[] =>
  specs.filter(({ kind }) => kind === 'linear' || kind === 'embedding' || kind === 'head');
