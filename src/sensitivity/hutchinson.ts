import { expanded, type SensitivityMeasure } from './measure.js';

/**
 * ½ Σ D_i Δ_i², where D = E[v ⊙ H v] for random signs v is AdaHessian's estimate of the Hessian's diagonal. A sum over all
 * weights of a tensor averages its noise, so that the paper's averages over neighbouring weights are not needed.
 */
export const hutchinsonMeasure: SensitivityMeasure = {
  name: 'hutchinson',
  id: 'S8',
  title: 'Squared errors times the diagonal of the Hessian, by Hutchinson’s probes',
  paper: 'Yao et al., AdaHessian, 2021, arXiv:2006.00719',
  status: 'experimental',
  wins: 'tales at 1.49 MB: divergence 0.425, by divergence 0.446; correlation at equal size 0.752, stories15M 0.971',
  needs: ['traces'],
  loss: expanded(({ diagonal }) => diagonal && Math.abs(diagonal)),
};
