import type { SensitivityMeasure } from './measure.js';

/** ‖Δ‖² / ‖W‖²: blind to what the layer is fed with. */
export const weightErrorMeasure: SensitivityMeasure = {
  name: 'weight-error',
  id: 'A1',
  title: 'Relative squared error of the weights',
  paper: 'baseline',
  status: 'experimental',
  wins: 'stories15M at 10.23 MB: divergence 0.0423, by divergence 0.0569; on tales correlation 0.183 at equal size',
  needs: ['statistics'],
  loss: ({ levels }) => levels.map(({ weightError, relativeError }) => weightError ?? relativeError),
};
