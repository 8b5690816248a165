import { perWeight, type SensitivityMeasure } from './measure.js';

/**
 * Ω = tr(H) / n · ‖Δ‖², halved: the mean divergence that an error of this size makes if it points anywhere alike. What
 * solvers do, to send errors where the curvature is small, it does not see.
 */
export const traceMeasure: SensitivityMeasure = {
  name: 'trace',
  id: 'S2',
  title: 'Mean eigenvalue of the Hessian, by its trace, times the squared error of the weights',
  paper: 'Dong et al., HAWQ-V2, 2020, arXiv:1911.03852',
  status: 'special',
  wins: 'models of many blocks: eight products with the Hessian in all; correlation at equal size 0.747 and 0.947',
  needs: ['statistics', 'traces'],
  // Noise of the probes must not make a loss zero or negative.
  loss: perWeight(({ trace }) => trace && Math.abs(trace) / 2),
};
