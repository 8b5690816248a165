import { type SensitivityMeasure, weighted } from './measure.js';

/**
 * z-score distribution: ZD = share of weights with (w − mean) / deviation > 1. The paper takes blocks with a smaller
 * share for more important, so that the weight is 1 / ZD. It is measured per tensor, since levels are chosen so.
 */
export const zdMeasure: SensitivityMeasure = {
  name: 'zd',
  id: 'S10',
  title: 'The layer’s relative loss over the share of weights with a z-score above one',
  paper: 'Dumitru et al., Layer-Wise Quantization, 2024, arXiv:2406.17415, section 3.2',
  status: 'experimental',
  wins: 'stories15M at 12.28 MB: divergence 0.0109, by divergence 0.0133; on tales correlation 0.205 at equal size',
  needs: ['statistics'],
  // Constant weights have no outliers; a finite number keeps losses that can be summed.
  loss: weighted(({ outliers, elements }) => 1 / Math.max(outliers, 1 / elements)),
};
