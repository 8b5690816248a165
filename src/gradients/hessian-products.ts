import { blockTensors, type TensorSpec } from '../architecture/architecture.js';
import type { Model } from '../architecture/model.js';
import { createArithmetic } from '../graph/arithmetic.js';
import type { Arrays } from '../graph/program.js';
import { required } from '../required.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { type ChangedModel, createDivergenceGradients } from './divergence-gradients.js';
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
  const gradients = await createDivergenceGradients({ architecture, readBlock }, texts, options);
  const arithmetic = createArithmetic(options);

  const moved = (weight: Float32Array, { vector, step }: Direction, sign: number) =>
    arithmetic.plus(weight, sign * step, vector);
  const slope = (difference: Float32Array, { step }: Direction) =>
    arithmetic.scale(1 / (2 * step * gradients.count), difference);

  /** The models at both ends of the difference. */
  const open = async (
    weightsOf: (block: number | undefined, sign: number) => Promise<Arrays>,
    wanted: { readonly from: number; readonly table: boolean },
  ): Promise<ChangedModel[]> => {
    const models: ChangedModel[] = [];
    for (const sign of signs) models.push(await gradients.open((block) => weightsOf(block, sign), wanted));
    return models;
  };

  return {
    async own(spec, direction) {
      const { block, role } = spec;
      const weightsOf = async (at: number | undefined, sign: number) => {
        const weights = await readBlock(at);
        if (at !== block) return weights;
        return { ...weights, [role]: await moved(required(weights, role), direction, sign) };
      };
      const from = block ?? 0;
      const models = await open(weightsOf, { from, table: block === undefined });
      let difference: Float32Array | undefined;
      await gradients.descend(
        models,
        from,
        (at) => at === block,
        async (_, found) => {
          difference = await gradients.layerDifference(spec, found);
        },
      );
      return slope(difference ?? (await gradients.tableDifference(spec, models)), direction);
    },

    async all(direction, visit) {
      const weightsOf = async (block: number | undefined, sign: number) => {
        const weights = { ...(await readBlock(block)) };
        for (const spec of movable(blockTensors(architecture, block))) {
          const weight = required(weights, spec.role);
          weights[spec.role] = await moved(weight, await direction(spec, weight), sign);
        }
        return weights;
      };
      const visitWith = async (spec: TensorSpec, weight: Float32Array, difference: Float32Array) => {
        const own = await direction(spec, weight);
        await visit(spec, own.vector, await slope(difference, own));
      };
      const models = await open(weightsOf, { from: 0, table: true });
      await gradients.descend(
        models,
        0,
        () => true,
        async (block, found) => {
          const weights = await readBlock(block);
          for (const spec of movable(blockTensors(architecture, block))) {
            const difference = await gradients.layerDifference(spec, found);
            await visitWith(spec, required(weights, spec.role), difference);
          }
        },
      );
      const outside = await readBlock(undefined);
      for (const spec of embeddingAndHead(architecture)) {
        const difference = await gradients.tableDifference(spec, models);
        await visitWith(spec, required(outside, spec.role), difference);
      }
    },

    async release() {
      await Promise.all([gradients.release(), arithmetic.release()]);
    },
  };
}

const signs = [1, -1] as const;

const movable = (specs: readonly TensorSpec[]): TensorSpec[] =>
  specs.filter(({ kind }) => kind === 'linear' || kind === 'embedding' || kind === 'head');
