import { blockTensors, type TensorSpec } from '../architecture/architecture.js';
import { createForward, type Hidden } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import { createArithmetic } from '../graph/arithmetic.js';
import type { Arrays } from '../graph/program.js';
import { createGemm } from '../runtime/gemm.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { createBackward, type LayerGradient } from './backward.js';
import { createLosses } from './loss.js';
import { tables, usesOf } from './weight-gradients.js';

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
  const forward = createForward(architecture, options);
  const backward = createBackward(architecture, options);
  const losses = createLosses(architecture, options);
  const arithmetic = createArithmetic(options);
  const gemm = createGemm(options);
  const { layers } = architecture;
  const outside = await readBlock(undefined);
  const sequences = texts.toSorted((a, b) => a.length - b.length);
  const count =
    architecture.objective === 'embedding'
      ? sequences.length
      : sequences.reduce((sum, { length }) => sum + length, 0);

  /** Inputs of the blocks from one on, and outputs of the last. */
  const forwardFrom = async (
    hidden: Hidden[],
    from: number,
    weightsOf: (block: number) => Promise<Arrays>,
  ) => {
    const entrances = [hidden];
    for (let block = from; block < layers; block++) {
      entrances.push(await forward.blockAll(entrances.at(-1) ?? [], await weightsOf(block)));
    }
    return entrances;
  };
  const original = await forwardFrom(await forward.embedAll(sequences, outside), 0, readBlock);
  const originalTop = original.at(-1) ?? [];
  const predictedBytes = 4 * count * architecture.vocabulary;
  const targets: Float32Array[] = [];
  if (architecture.objective === 'prediction' && predictedBytes <= rememberedBytes)
    for (const { data } of originalTop) targets.push(await losses.predict(data, outside));

  /** Gradients of the divergence behind the last block, and of the head's table where it is wanted. */
  const departures = async (top: readonly Hidden[], table: Arrays, withTable: boolean) => {
    const upstream: Float32Array[] = [];
    let sum: Float32Array | undefined;
    for (const [index, hidden] of top.entries()) {
      const before = { hidden: originalTop[index] ?? hidden, outside, target: targets[index] };
      const found = await losses.departure(hidden, table, before, { table: withTable });
      upstream.push(found.hidden);
      if (found.table) sum = sum ? await arithmetic.plus(sum, 1, found.table) : found.table;
    }
    return { upstream, table: sum };
  };
  const throughAll = async (
    hidden: readonly Hidden[],
    upstream: readonly Float32Array[],
    weights: Arrays,
  ) => {
    const next: Float32Array[] = [];
    for (const [index, states] of hidden.entries())
      next.push(await backward.through(states, upstream[index] ?? new Float32Array(), weights));
    return next;
  };
  /** Of both sides, for one weight of a block: first less second. */
  const layerDifference = async (
    { role, shape: [out = 0, inputs = 0] }: TensorSpec,
    sides: readonly (readonly ReadonlyMap<string, LayerGradient>[])[],
  ) => {
    let sum: Float32Array | undefined;
    for (const [side, batches] of sides.entries()) {
      for (const batch of batches) {
        const layer = batch.get(role);
        if (!layer) continue;
        const shape = (width: number) => [layer.gradient.length / out, width];
        sum = await gemm(
          { data: layer.gradient, shape: shape(out) },
          { data: layer.inputs, shape: shape(inputs) },
          {
            transposeA: true,
            alpha: side === 0 ? 1 : -1,
            ...(sum ? { add: { data: sum, shape: [out, inputs] } } : {}),
          },
        );
      }
    }
    return sum ?? new Float32Array(out * inputs);
  };
  /** Of both sides, for a table: first less second. */
  const tableDifference = async (spec: TensorSpec, sides: readonly TableSide[]) => {
    const [isEmbedding, isHead] = usesOf(architecture, spec);
    const gradients: Float32Array[] = [];
    for (const { table, upstream, weights } of sides) {
      const gradient = (isHead && table) || new Float32Array(outside[spec.role]?.length ?? 0);
      let at = 0;
      for (const [index, { batch }] of isEmbedding ? originalTop.entries() : []) {
        const own = sequences.slice(at, at + batch.sequences);
        at += batch.sequences;
        await backward.addEmbedding(own, batch, upstream[index] ?? new Float32Array(), weights, gradient);
      }
      gradients.push(gradient);
    }
    const [plus = new Float32Array(), minus = plus] = gradients;
    return arithmetic.plus(plus, -1, minus);
  };
  const moved = (weight: Float32Array | undefined, { vector, step }: Direction, side: number) =>
    arithmetic.plus(weight ?? new Float32Array(vector.length), side * step, vector);

  return {
    async own(spec, direction) {
      const { block, role } = spec;
      const differences: (readonly ReadonlyMap<string, LayerGradient>[])[] = [];
      const tableSides: TableSide[] = [];
      const start = block ?? 0;
      for (const side of signs) {
        const changed = async (at: number | undefined) => {
          const weights = at === undefined ? outside : await readBlock(at);
          return at === block ? { ...weights, [role]: await moved(weights[role], direction, side) } : weights;
        };
        const table = await changed(undefined);
        const entrance =
          block === undefined ? await forward.embedAll(sequences, table) : (original[block] ?? []);
        const entrances = await forwardFrom(entrance, start, changed);
        const isHead = block === undefined && usesOf(architecture, spec)[1];
        const found = await departures(entrances.at(-1) ?? [], table, isHead);
        let upstream = found.upstream;
        for (let at = layers - 1; at >= start; at--) {
          const [hidden = [], weights] = [entrances[at - start], await changed(at)];
          if (at === block) differences.push(await layersOf(hidden, upstream, weights));
          else upstream = await throughAll(hidden, upstream, weights);
        }
        tableSides.push({ upstream, weights: table, ...(found.table ? { table: found.table } : {}) });
      }
      const difference =
        block === undefined
          ? await tableDifference(spec, tableSides)
          : await layerDifference(spec, differences);
      return arithmetic.scale(1 / (2 * direction.step * count), difference);
    },

    async all(direction, visit) {
      const directed = (kind: TensorSpec['kind']) => ['linear', 'embedding', 'head'].includes(kind);
      /** Weights of a block on one side, with the directions they were moved in. */
      const sideOf = async (block: number | undefined, side: number) => {
        const weights = await readBlock(block);
        const changed: Record<string, Float32Array> = { ...weights };
        for (const spec of blockTensors(architecture, block)) {
          const weight = weights[spec.role];
          if (!weight || !directed(spec.kind)) continue;
          changed[spec.role] = await moved(weight, await direction(spec, weight), side);
        }
        return changed;
      };
      const visitWith = async (
        spec: TensorSpec,
        weight: Float32Array | undefined,
        difference: Float32Array,
      ) => {
        const { vector, step } = await direction(spec, weight ?? new Float32Array());
        await visit(spec, vector, await arithmetic.scale(1 / (2 * step * count), difference));
      };
      const sides: Side[] = [];
      for (const side of signs) {
        const table = await sideOf(undefined, side);
        const hidden = await forward.embedAll(sequences, table);
        const entrances = await forwardFrom(hidden, 0, (block) => sideOf(block, side));
        const found = await departures(entrances.at(-1) ?? [], table, true);
        sides.push({ ...found, entrances, weights: table });
      }
      for (let block = layers - 1; block >= 0; block--) {
        const found: (readonly ReadonlyMap<string, LayerGradient>[])[] = [];
        for (const [index, side] of sides.entries()) {
          const weights = await sideOf(block, signs[index] ?? 1);
          const gradients: ReadonlyMap<string, LayerGradient>[] = [];
          const next: Float32Array[] = [];
          for (const [at, states] of (side.entrances[block] ?? []).entries()) {
            const own = await backward.block(states, side.upstream[at] ?? new Float32Array(), weights);
            gradients.push(own.layers);
            next.push(own.entrance);
          }
          side.upstream = next;
          found.push(gradients);
        }
        const weights = await readBlock(block);
        for (const spec of blockTensors(architecture, block).filter(({ kind }) => kind === 'linear'))
          await visitWith(spec, weights[spec.role], await layerDifference(spec, found));
      }
      for (const spec of tables(architecture))
        await visitWith(spec, outside[spec.role], await tableDifference(spec, sides));
    },

    async release() {
      const parts = [forward, backward, losses, arithmetic, gemm];
      await Promise.all(parts.map((part) => part.release()));
    },
  };

  async function layersOf(hidden: readonly Hidden[], upstream: readonly Float32Array[], weights: Arrays) {
    const found: ReadonlyMap<string, LayerGradient>[] = [];
    for (const [index, states] of hidden.entries()) {
      found.push((await backward.block(states, upstream[index] ?? new Float32Array(), weights)).layers);
    }
    return found;
  }
}

const signs = [1, -1] as const;

/** The original's predictions are kept up to this size; what is beyond is computed anew each time. */
const rememberedBytes = 2 ** 28;

interface TableSide {
  /** At the first block's inputs, batch by batch. */
  readonly upstream: readonly Float32Array[];
  /** Outside the blocks. */
  readonly weights: Arrays;
  /** Of the head's table. */
  readonly table?: Float32Array | undefined;
}

/** A model with all weights moved to one side. */
interface Side extends TableSide {
  upstream: readonly Float32Array[];
  readonly entrances: readonly Hidden[][];
}
