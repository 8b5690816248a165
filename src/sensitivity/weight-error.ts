import type { DamageMeasure } from './measure.js';

/** ‖Δ‖² / ‖W‖²: blind to what the layer is fed with. */
export const weightErrorMeasure: DamageMeasure = {
  name: 'weight-error',
  id: 'A1',
  title: 'Relative squared error of the weights',
  paper: 'baseline',
  needs: ['statistics'],
  damage: ({ levels }) => levels.map(({ weightError, relativeError }) => weightError ?? relativeError),
};
