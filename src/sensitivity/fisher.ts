import { expanded, type SensitivityMeasure } from './measure.js';

/**
 * ½ Σ F_ii Δ_i², where F_ii is the mean square of the weight's gradient on text: SqueezeLLM's importance, which takes the
 * Fisher information for diagonal.
 */
export const fisherMeasure: SensitivityMeasure = {
  name: 'fisher',
  id: 'S7',
  title: 'Squared errors times squared gradients on text (diagonal Fisher information)',
  paper: 'Kim et al., SqueezeLLM, 2023, arXiv:2306.07629',
  status: 'experimental',
  wins: 'nowhere: correlation at equal size 0.719 on tales, 0.977 on stories15M',
  needs: ['gradients'],
  loss: expanded(({ fisher }) => fisher),
};
