import type { TensorSpec } from '../architecture/architecture.js';
import { createForward, type Hidden } from '../architecture/forward.js';
import type { Model } from '../architecture/model.js';
import { createArithmetic } from '../graph/arithmetic.js';
import type { Arrays } from '../graph/program.js';
import { createGemm } from '../runtime/gemm.js';
import type { RuntimeOptions } from '../runtime/session.js';
import { createBackward, type LayerGradient } from './backward.js';
import { createLosses } from './loss.js';
import { usesOf } from './weight-gradients.js';

/** A changed model, on the way from its end to its beginning. */
export interface Side {
  weightsOf(block: number | undefined): Promise<Arrays>;
  /** Inputs of the blocks that are left, batch by batch. */
  readonly entrances: Map<number, readonly Hidden[]>;
  /** Gradients of the divergence where it has come to: outputs of the last block at first. */
  upstream: readonly Float32Array[];
  /** At the linear layers of the block behind it, where they were wanted. */
  layers: readonly ReadonlyMap<string, LayerGradient>[];
  /** Of the head's table, where it was wanted. */
  readonly table?: Float32Array | undefined;
}

/** Gradients of the divergence of changed models from the original, summed over all tokens (of an encoder: texts). */
export interface DivergenceGradients {
  /** Tokens, or texts. */
  readonly count: number;
  /**
   * A model whose weights differ from the original's in blocks `from` and later, or anywhere.
   * @param table whether the gradient of the head's table is wanted; then weights outside the blocks may differ, too
   */
  open(
    weightsOf: Side['weightsOf'],
    wanted: { readonly from: number; readonly table: boolean },
  ): Promise<Side>;
  /** To the inputs of a block. Must be called for the blocks from the last one on. */
  descend(side: Side, block: number, withLayers: boolean): Promise<void>;
  /** Of the gradients of a weight of the block that both sides have just passed: first less second. */
  layerDifference(spec: TensorSpec, sides: readonly Side[]): Promise<Float32Array>;
  /** The same for a table, behind the first block. */
  tableDifference(spec: TensorSpec, sides: readonly Side[]): Promise<Float32Array>;
  release(): Promise<void>;
}

/** The original's predictions are kept up to this size; what is beyond is computed anew each time. */
const rememberedBytes = 2 ** 28;

/** Keeps what enters the original's blocks in memory: layers × tokens × hidden floats. */
export async function createDivergenceGradients(
  { architecture, readBlock }: Pick<Model, 'architecture' | 'readBlock'>,
  texts: readonly Int32Array[],
  options: RuntimeOptions = {},
): Promise<DivergenceGradients> {
  const forward = createForward(architecture, options);
  const backward = createBackward(architecture, options);
  const losses = createLosses(architecture, options);
  const arithmetic = createArithmetic(options);
  const gemm = createGemm(options);
  const { layers, vocabulary } = architecture;
  const isEncoder = architecture.objective === 'embedding';
  const sequences = texts.toSorted((a, b) => a.length - b.length);
  const tokens = sequences.reduce((sum, { length }) => sum + length, 0);

  /** Inputs of the blocks from one on; those of the one that is not there are outputs of the last. */
  const forwardFrom = async (from: number, hidden: readonly Hidden[], weightsOf: Side['weightsOf']) => {
    const entrances = new Map([[from, hidden]]);
    for (let block = from; block < layers; block++)
      entrances.set(block + 1, await forward.blockAll(entrances.get(block) ?? [], await weightsOf(block)));
    return entrances;
  };
  const outside = await readBlock(undefined);
  const original = await forwardFrom(0, await forward.embedAll(sequences, outside), readBlock);
  const top = original.get(layers) ?? [];
  const targets: Float32Array[] = [];
  if (!isEncoder && 4 * tokens * vocabulary <= rememberedBytes)
    for (const { data } of top) targets.push(await losses.predict(data, outside));

  return {
    count: isEncoder ? sequences.length : tokens,
    async open(weightsOf, { from, table: withTable }) {
      const weights = await weightsOf(undefined);
      const hidden = withTable ? await forward.embedAll(sequences, weights) : (original.get(from) ?? []);
      const entrances = await forwardFrom(from, hidden, weightsOf);
      const upstream: Float32Array[] = [];
      let table: Float32Array | undefined;
      for (const [index, states] of (entrances.get(layers) ?? []).entries()) {
        const before = { hidden: top[index] ?? states, outside, target: targets[index] };
        const found = await losses.divergence(states, weights, before, { table: withTable });
        upstream.push(found.hidden);
        if (found.table) table = table ? await arithmetic.plus(table, 1, found.table) : found.table;
      }
      entrances.delete(layers);
      return { weightsOf, entrances, upstream, layers: [], table };
    },

    async descend(side, block, withLayers) {
      const weights = await side.weightsOf(block);
      const next: Float32Array[] = [];
      const found: ReadonlyMap<string, LayerGradient>[] = [];
      for (const [index, states] of (side.entrances.get(block) ?? []).entries()) {
        const upstream = side.upstream[index] ?? new Float32Array();
        if (withLayers) {
          const own = await backward.block(states, upstream, weights);
          next.push(own.entrance);
          found.push(own.layers);
        } else next.push(await backward.through(states, upstream, weights));
      }
      side.entrances.delete(block);
      side.upstream = next;
      side.layers = found;
    },

    async layerDifference({ role, shape: [out = 0, inputs = 0] }, sides) {
      let sum: Float32Array | undefined;
      for (const [index, side] of sides.entries()) {
        for (const batch of side.layers) {
          const layer = batch.get(role);
          if (!layer) throw new Error(`the block has no layer ${role}`);
          const rows = layer.gradient.length / out;
          sum = await gemm(
            { data: layer.gradient, shape: [rows, out] },
            { data: layer.inputs, shape: [rows, inputs] },
            {
              transposeA: true,
              alpha: index === 0 ? 1 : -1,
              ...(sum ? { add: { data: sum, shape: [out, inputs] } } : {}),
            },
          );
        }
      }
      return sum ?? new Float32Array(out * inputs);
    },

    async tableDifference(spec, sides) {
      const [isEmbedding, isHead] = usesOf(architecture, spec);
      const gradients: Float32Array[] = [];
      for (const { table, upstream, weightsOf } of sides) {
        const gradient = (isHead && table) || new Float32Array(outside[spec.role]?.length ?? 0);
        const weights = await weightsOf(undefined);
        let at = 0;
        for (const [index, { batch }] of isEmbedding ? top.entries() : []) {
          const own = sequences.slice(at, at + batch.sequences);
          at += batch.sequences;
          await backward.addEmbedding(own, batch, upstream[index] ?? new Float32Array(), weights, gradient);
        }
        gradients.push(gradient);
      }
      const [plus = new Float32Array(), minus = plus] = gradients;
      return arithmetic.plus(plus, -1, minus);
    },

    async release() {
      const parts = [forward, backward, losses, arithmetic, gemm];
      await Promise.all(parts.map((part) => part.release()));
    },
  };
}
