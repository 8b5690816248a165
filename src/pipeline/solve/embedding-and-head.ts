import { blockTensors } from '../../architecture/architecture.js';
import { createForward } from '../../architecture/forward.js';
import type { Model } from '../../architecture/model.js';
import { combinedMoments, embeddingMoments } from '../../calibration/embedding.js';
import { findSolver } from '../../solver/index.js';
import type { Moments } from '../../types.js';
import type { Context } from '../context/context.js';
import { createPasses, type Shrinkage } from './passes.js';
import type { TensorRecipe } from './tensor.js';

/** Calibration tokens per column: enough for a second moment, few beside what blocks are calibrated on. */
const tokensPerColumn = 16;

/**
 * What the embedding is solved under, seen from the original model, since its values come before all others. A table
 * that is the output head, too, needs a first pass of some text through all blocks, one in memory at a time.
 * @param outside the original's weights outside its blocks
 * @param shrinkage of moments that something is to be fitted to
 */
export async function tokenEmbeddingMoments(
  context: Context,
  { architecture, read, readBlock }: Pick<Model, 'architecture' | 'read' | 'readBlock'>,
  sequences: readonly Int32Array[],
  outside: Readonly<Record<string, Float32Array>>,
  shrinkage?: Shrinkage,
): Promise<Moments> {
  const { hidden: width, layers, tied } = architecture;
  const { time } = context.stopwatch;
  const forward = createForward(architecture, context);
  // The embedding's own moments are made from weights: there is nothing in them to shrink.
  const [plain, fitted] = [
    createPasses(context, architecture),
    createPasses(context, architecture, { shrinkage }),
  ];
  const count = Math.ceil((tokensPerColumn * width) / (sequences[0]?.length ?? 1));
  const first = Object.fromEntries(
    blockTensors(architecture, 0).map((spec) => [spec.role, () => time('read', () => read(spec))]),
  );
  let hidden = await time('calibrate', () => forward.embedAll(sequences.slice(0, count), outside));
  let moments = await time('calibrate', () =>
    embeddingMoments(architecture, plain.calibrator, { hidden, weights: { ...outside, ...first } }, context),
  );
  if (tied) {
    for (let block = 0; block < layers; block++) {
      const weights = await time('read', () => readBlock(block));
      hidden = await time('calibrate', () => forward.blockAll(block, hidden, weights, { consume: true }));
    }
    const head = await fitted.calibrator.head({ hidden, weights: outside });
    moments = combinedMoments(moments, head);
  }
  await Promise.all([forward.release(), plain.release(), fitted.release()]);
  return moments;
}

/** How embedding and head are solved: like the blocks, unless the solver has other options for them. */
export const embeddingAndHeadRecipe = ({ solver, options }: TensorRecipe): TensorRecipe => ({
  solver,
  options: { ...findSolver(solver).outsideBlocks, ...options },
});
