import { programCache } from '../architecture/forward.js';
import * as g from '../graph/build.js';
import type { RuntimeOptions } from '../runtime/session.js';
import type { Matrix, Moments } from '../types.js';

/** Lets biases take what compression does to the means of outputs; programs are shared by layers of a shape. */
export interface BiasCorrection {
  /**
   * Moments about the means: all that is left for the codes to reproduce where the bias takes the rest,
   * H − μ̃ μ̃ᵀ and D − (μ − μ̃) μ̃ᵀ, shrunk where the moments are. Without means, the moments as they are.
   */
  centred(moments: Moments): Promise<Moments>;
  /**
   * The bias with which the layer's outputs have the means that they have in the original model,
   * b + W E[x] − Ŵ E[x̃] (Nagel et al., 2019, arXiv:1906.04721, section 4.2, with measured means on both sides).
   * @param weight W, and `decoded` Ŵ, as the runtime will have it
   * @param bias b, one for each row
   */
  bias(
    weight: Matrix,
    decoded: Float32Array,
    bias: Float32Array,
    means: NonNullable<Moments['means']>,
  ): Promise<Float32Array>;
  release(): Promise<void>;
}

export function createBiasCorrection(options: RuntimeOptions = {}): BiasCorrection {
  const cache = programCache(options);
  const subtract = async (
    { rows, cols, data }: Matrix,
    left: Float32Array,
    right: Float32Array,
    shrinkage: number,
  ) => {
    const program = await cache.get(`outer ${rows}`, () => ({
      y: g.sub(g.input('x', [rows, cols]), g.mul(g.input('left', [rows, 1]), g.input('right', [1, cols]))),
    }));
    const y =
      (await program.run({ x: data, left: left.map((each) => (1 - shrinkage) * each), right })).y ?? data;
    for (let i = 0; i < rows; i++)
      y[i * (cols + 1)] = (y[i * (cols + 1)] ?? 0) - shrinkage * (left[i] ?? 0) * (right[i] ?? 0);
    return { rows, cols, data: y };
  };
  const centreRows = async ({ rows, cols, data }: Matrix, mean: Float32Array): Promise<Matrix> => {
    const program = await cache.get(`rows ${rows} ${cols}`, () => ({
      y: g.sub(g.input('x', [rows, cols]), g.input('mean', [cols])),
    }));
    return { rows, cols, data: (await program.run({ x: data, mean })).y ?? data };
  };
  return {
    async centred(moments) {
      const { gram, crossMoments, means, heldOut, shrinkage = 0 } = moments;
      if (!means) return moments;
      const moved = means.original.map((mean, at) => mean - (means.own[at] ?? 0));
      return {
        ...moments,
        gram: await subtract(gram, means.own, means.own, shrinkage),
        ...(crossMoments && { crossMoments: await subtract(crossMoments, moved, means.own, shrinkage) }),
        ...(heldOut && {
          heldOut: {
            own: await centreRows(heldOut.own, means.own),
            ...(heldOut.original && { original: await centreRows(heldOut.original, means.original) }),
          },
        }),
      };
    },
    async bias({ rows, cols, data }, decoded, bias, { original, own }) {
      const program = await cache.get(`bias ${rows} ${cols}`, () => {
        const product = (weight: string, mean: string) =>
          g.matmul(g.input(mean, [1, cols]), g.transpose(g.input(weight, [rows, cols]), [1, 0]));
        const shift = g.sub(product('weight', 'original'), product('decoded', 'own'));
        return { y: g.add(g.input('bias', [rows]), shift) };
      });
      const { y } = await program.run({ weight: data, decoded, bias, original, own });
      return y ?? bias;
    },
    release: cache.release,
  };
}
