import { type SensitivityMeasure, weighted } from './measure.js';

/**
 * tr(Δ H Δᵀ): the layer's loss as it is, so that layers with large outputs count for more. Right if what follows
 * passes on all outputs alike; norms behind a layer do not.
 */
export const energyMeasure: SensitivityMeasure = {
  name: 'energy',
  id: 'A1',
  title: 'Loss of the layer’s outputs, not relative to their energy',
  paper: 'Hubara et al., AdaQuant, 2020, arXiv:2006.10518',
  status: 'experimental',
  wins: 'nowhere: correlation at equal size −0.007 on tales, 0.503 on stories15M',
  needs: ['statistics'],
  loss: weighted(({ energy }) => energy),
};
