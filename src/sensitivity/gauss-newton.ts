import { expanded, type SensitivityMeasure } from './measure.js';

/**
 * ½ Σ D_i Δ_i², where D_i is Sophia's Gauss–Newton–Bartlett estimate: squares of gradients for labels that are drawn from
 * the model's own predictions, which makes it an unbiased estimate of the diagonal of the divergence's Hessian.
 */
export const gaussNewtonMeasure: SensitivityMeasure = {
  name: 'gauss-newton',
  id: 'S8',
  title: 'Squared errors times squared gradients for drawn labels (Gauss–Newton–Bartlett)',
  paper: 'Liu et al., Sophia, 2023, arXiv:2305.14342, algorithm 2',
  status: 'special',
  wins: 'tales at 1.31 MB: divergence 0.662, by divergence 0.690; correlation at equal size 0.744, stories15M 0.979',
  needs: ['drawn gradients'],
  loss: expanded(({ drawnFisher }) => drawnFisher),
};
