import type { TensorSpec } from '../../../architecture/architecture.js';
import { type Labels, weightGradients } from '../../../gradients/weight-gradients.js';
import type { LevelCurvature } from '../../../sensitivity/measure.js';
import { weightedDifference, weightedDistance } from '../../../sensitivity/statistics.js';
import type { Matrix } from '../../../types.js';
import { checkAborted } from '../../context/hooks.js';
import type { CurvatureEstimates, Task } from './curvature-task.js';
import { readLevel } from './entries.js';
import { weightMatrix } from './weight-matrix.js';

/** Decoded levels that are in memory together, in bytes; one at least. */
const heldBytes = 2 ** 28;

/** g · Δ, ½ Σ F Δ² and ½ Δᵀ F Δ for all levels. */
export async function gradientForms(
  task: Task,
  texts: readonly Int32Array[],
  labels: Labels,
  write: (slope: number, diagonal: number, form: number, slopes: readonly number[]) => LevelCurvature,
): Promise<Map<TensorSpec, CurvatureEstimates>> {
  const { context, store, model, tensors, arithmetic, hooks } = task;
  const { kernels } = context;
  const found = new Map<TensorSpec, CurvatureEstimates>();
  await weightGradients(
    model,
    texts,
    labels,
    async (spec, { sequences, tokens, of }) => {
      const tensor = tensors.get(spec);
      if (!tensor) return;
      checkAborted(hooks);
      const weight = weightMatrix(spec, await model.read(spec));
      const size = Math.max(1, Math.floor(heldBytes / weight.data.byteLength));
      let squares = new Float32Array(weight.data.length);
      const levels: LevelCurvature[] = [];
      for (let from = 0; from < tensor.levels.length; from += size) {
        const decoded: Matrix[] = [];
        for (const { key, grid } of tensor.levels.slice(from, from + size))
          decoded.push(weightMatrix(spec, await readLevel(context, store, key, grid, spec)));
        /** g · Δ by level and sequence. */
        const own = decoded.map((): number[] => []);
        for (let sequence = 0; sequence < sequences; sequence++) {
          const gradient = weightMatrix(spec, await of(sequence));
          if (from === 0) squares = (await arithmetic.plusSquare(squares, gradient.data)) as typeof squares;
          for (const [index, list] of own.entries())
            list.push(await weightedDifference(kernels, weight, decoded[index] ?? weight, gradient));
        }
        // All sequences are in the squares when the first levels have seen them.
        for (const [index, list] of own.entries()) {
          const level = decoded[index] ?? weight;
          const distance = await weightedDistance(kernels, weight, level, weightMatrix(spec, squares));
          const slopes = list.map((slope) => slope / Math.sqrt(tokens));
          const slope = slopes.reduce((sum, value) => sum + value, 0) / Math.sqrt(tokens);
          const form = slopes.reduce((sum, value) => sum + value ** 2, 0) / 2;
          levels.push(write(slope, distance / tokens / 2, form, slopes));
        }
      }
      found.set(spec, { levels });
      hooks.progress?.(`gradients (${labels})`, found.size, tensors.size);
    },
    context,
  );
  return found;
}
