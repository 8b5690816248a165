import type { SensitivityMeasure } from './measure.js';

/** ‖Δ‖² / ‖W‖²: blind to what the layer is fed with. */
export const weightErrorMeasure: SensitivityMeasure = {
  name: 'weight-error',
  id: 'A1',
  title: 'Relative squared error of the weights',
  paper: 'baseline',
  needs: ['statistics'],
  loss: ({ levels }) => levels.map(({ weightError, relativeError }) => weightError ?? relativeError),
};
