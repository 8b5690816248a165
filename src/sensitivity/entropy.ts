import type { Kernels } from '../kernels/kernels.js';
import type { Matrix } from '../types.js';
import { type SensitivityMeasure, weighted } from './measure.js';
import { histogram } from './statistics.js';

/** As many as values of eight bits can tell apart. */
const bins = 256;

/** −Σ p log p over a histogram of 256 equal bins between the least and the largest value; nats. */
export async function valueEntropy(kernels: Kernels, values: Matrix): Promise<number> {
  const total = values.rows * values.cols;
  let entropy = 0;
  for (const count of await histogram(kernels, values, bins)) {
    if (count > 0) entropy -= (count / total) * Math.log(count / total);
  }
  return entropy;
}

/**
 * A layer whose inputs carry more information has more to lose. The papers rank layers by it and give more bits to
 * those of higher entropy; here it weighs the layer's relative loss, which tells levels of a tensor apart.
 */
export const entropyMeasure: SensitivityMeasure = {
  name: 'entropy',
  id: 'S11',
  title: 'Entropy of the layer’s inputs times its relative loss',
  paper: 'Tao et al., QuantMCU, 2024, arXiv:2401.13714; Wang et al., Q-VLM, 2024, arXiv:2410.08119',
  status: 'experimental',
  wins: 'nowhere: correlation at equal size 0.170 on tales, 0.841 on stories15M',
  needs: ['statistics'],
  loss: weighted(({ entropy }) => entropy),
};
