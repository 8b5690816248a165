import { perWeight, type SensitivityMeasure } from './measure.js';

/**
 * (|mean λ| + deviation of λ) / n · ‖Δ‖² over parts of the text: a tensor whose curvature differs from text to text is
 * more at risk than its mean says.
 */
export const eigenvalueSpreadMeasure: SensitivityMeasure = {
  name: 'eigenvalue-spread',
  id: 'S3',
  title: 'Mean and deviation of the largest eigenvalue over parts of the text, in its place',
  paper: 'Shen et al., Q-BERT, 2020, arXiv:1909.05840, equation 2',
  status: 'experimental',
  wins: 'nowhere: correlation at equal size 0.444 on tales',
  needs: ['statistics', 'eigenvalues'],
  loss: perWeight(({ eigenvalues }) => eigenvalues && Math.abs(mean(eigenvalues)) + deviation(eigenvalues)),
};

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function deviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
}
