import { expanded, type SensitivityMeasure } from './measure.js';

/** |g · Δ|: the first term of a Taylor expansion. It is 0 on average where training has converged. */
export const gradientMeasure: SensitivityMeasure = {
  name: 'gradient',
  id: 'A1',
  title: 'The mean gradient times the error, to first order',
  paper: 'Molchanov et al., 2017, arXiv:1611.06440, section 2.2',
  status: 'experimental',
  wins: 'nowhere: correlation at equal size 0.892 on tales, 0.518 on stories15M',
  needs: ['gradients'],
  loss: expanded(({ slope }) => slope && Math.abs(slope)),
};
