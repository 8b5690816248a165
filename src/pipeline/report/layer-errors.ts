import { blockTensors, matrixShape, type TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import { walkModel } from '../../calibration/walk-model.js';
import { toPanel } from '../../kernels/panel.js';
import { layerEnergy, ratio } from '../../solver/layer-error.js';
import type { Moments } from '../../types.js';
import type { Context } from '../context/context.js';
import { checkAborted, type Hooks } from '../context/hooks.js';
import { tokenEmbeddingMoments } from '../solve/embedding-and-head.js';
import { createJudge } from '../solve/judge.js';
import { createPasses } from '../solve/passes.js';
import { slabRows } from '../solve/slab.js';

/**
 * What a compressed model changed, tensor by tensor: ε = tr(Δ H Δᵀ) / tr(W H Wᵀ) with H as the inputs are in the
 * original model on those tokens of the given text that compressing on it holds out, so that both say the same; of the
 * embedding with H as it is solved under. Holds one block of either model in memory.
 * @returns errors by GGUF's name, of all linear layers, the embedding and the head
 */
export async function layerErrors(
  context: Context,
  original: Model,
  compressed: Model,
  sequences: readonly Int32Array[],
  hooks: Hooks,
): Promise<ReadonlyMap<string, number>> {
  const { architecture } = original;
  const errors = new Map<string, number>();
  // Tokens are held out; of the others nothing is wanted that shrinking would change.
  const passes = createPasses(context, architecture, { shrinkage: 0 });
  const total = architecture.tensors.filter(({ kind }) => hasError(kind)).length;
  const record = async (
    spec: TensorSpec,
    before: Float32Array | undefined,
    after: Float32Array | undefined,
    moments: Moments,
  ) => {
    if (!before || !after) return;
    checkAborted(hooks);
    errors.set(spec.names.gguf, await error(context, spec, before, after, moments));
    hooks.progress?.('layers', errors.size, total);
  };

  hooks.progress?.('layers', 0, total);
  const [outside, changed] = [await original.readBlock(undefined), await compressed.readBlock(undefined)];
  const ofKind = (kind: TensorSpec['kind']) =>
    blockTensors(architecture, undefined).filter((spec) => spec.kind === kind);
  await walkModel(architecture, passes.calibrator, {
    async embedding() {
      for (const spec of ofKind('embedding')) {
        const moments = await tokenEmbeddingMoments(context, original, sequences, outside, 'auto');
        await record(spec, outside[spec.role], changed[spec.role], moments);
      }
      return { hidden: await passes.embed(sequences, outside) };
    },
    async block(block) {
      const [weights, decoded] = [await original.readBlock(block), await compressed.readBlock(block)];
      return {
        weights,
        async site(layers, moments) {
          for (const spec of layers) await record(spec, weights[spec.role], decoded[spec.role], moments);
        },
      };
    },
    async head(moments) {
      for (const spec of ofKind('head')) {
        // A compressed file may share one table where the original has two, and the other way about.
        const after = changed[spec.role] ?? changed[ofKind('embedding')[0]?.role ?? ''];
        await record(spec, outside[spec.role], after, await moments(outside));
      }
    },
  });
  await passes.release();
  return errors;
}

const hasError = (kind: TensorSpec['kind']) => kind === 'linear' || kind === 'embedding' || kind === 'head';

async function error(
  context: Context,
  spec: TensorSpec,
  before: Float32Array,
  after: Float32Array,
  { gram, heldOut }: Moments,
): Promise<number> {
  const { kernels, gemm } = context;
  const [rows, cols] = matrixShape(spec);
  const slab = spec.kind === 'linear' ? rows : slabRows(cols);
  let [loss, energy, judged] = [0, 0, 0];
  for (let from = 0; from < rows; from += slab) {
    const count = Math.min(slab, rows - from);
    await kernels.scope(async (arena) => {
      const part = (data: Float32Array) => ({
        rows: count,
        cols,
        data: data.subarray(from * cols, (from + count) * cols),
      });
      const difference = await toPanel(kernels, arena, part(after));
      if (heldOut) {
        const judge = await createJudge(gemm, heldOut, part(before));
        const { relativeError } = await judge({ values: difference.data, stride: difference.stride });
        judged += (relativeError * count) / rows;
        return;
      }
      const weight = await toPanel(kernels, arena, part(before));
      const { stride } = weight;
      energy += await layerEnergy({ ...context, arena }, gram, weight);
      const y = difference.data;
      kernels.parallel('subtractPanels', stride, { cols, stride, x: weight.data, y, difference: y });
      loss += await layerEnergy({ ...context, arena }, gram, difference);
    });
  }
  return heldOut ? judged : ratio(loss, energy);
}
