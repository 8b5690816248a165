import { perWeight, type SensitivityMeasure } from './measure.js';

/**
 * λ / n · ‖Δ‖²: the largest eigenvalue of the Hessian in the tensor's n weights. The paper orders layers by λ / n and
 * gives more bits to those where it is large; the error's size tells levels apart, as in HAWQ-V2's Ω.
 */
export const eigenvalueMeasure: SensitivityMeasure = {
  name: 'eigenvalue',
  id: 'S1',
  title: 'Largest eigenvalue of the Hessian over the number of weights, times their squared error',
  paper: 'Dong et al., HAWQ, 2019, arXiv:1905.03696',
  status: 'experimental',
  wins: 'nowhere: correlation at equal size 0.415 on tales',
  needs: ['statistics', 'eigenvalues'],
  loss: perWeight(({ eigenvalue }) => eigenvalue),
};
