import { findMethod } from '../method.js';
import { divergenceLoss } from './divergence.js';
import { eigenvalueMeasure } from './eigenvalue.js';
import { eigenvalueSpreadMeasure } from './eigenvalue-spread.js';
import { energyMeasure } from './energy.js';
import { entropyMeasure } from './entropy.js';
import { evolvedMeasure } from './evolved.js';
import { fisherMeasure } from './fisher.js';
import { gaussNewtonMeasure } from './gauss-newton.js';
import { gradientMeasure } from './gradient.js';
import { hutchinsonMeasure } from './hutchinson.js';
import { limMeasure } from './lim.js';
import { mFacMeasure, secondOrderMeasure } from './m-fac.js';
import type { SensitivityMeasure } from './measure.js';
import { traceMeasure } from './trace.js';
import { weightErrorMeasure } from './weight-error.js';
import { zdMeasure } from './zd.js';

/** Every measure of sensitivity, in the order of the catalogue. */
export const sensitivityMeasures: readonly SensitivityMeasure[] = [
  {
    name: 'divergence',
    id: 'A1',
    title: 'Divergence of the model with only this tensor compressed, measured at two levels',
    paper: 'baseline',
    status: 'recommended',
    wins: 'the order of mixes of one size, by default: correlation 0.990 on tales, 0.986 on stories15M',
    needs: ['divergence'],
    loss: divergenceLoss,
  },
  {
    name: 'loss',
    id: 'A1',
    title: 'Relative loss of the layer’s outputs',
    paper: 'Hubara et al., AdaQuant, 2020, arXiv:2006.10518',
    status: 'experimental',
    wins: 'nowhere: correlation at equal size 0.206 on tales, 0.905 on stories15M',
    needs: [],
    loss: ({ levels }) => levels.map(({ relativeError }) => relativeError),
  },
  energyMeasure,
  weightErrorMeasure,
  limMeasure,
  zdMeasure,
  entropyMeasure,
  evolvedMeasure,
  gradientMeasure,
  fisherMeasure,
  gaussNewtonMeasure,
  mFacMeasure,
  secondOrderMeasure,
  hutchinsonMeasure,
  traceMeasure,
  eigenvalueMeasure,
  eigenvalueSpreadMeasure,
];

/** The measure of this name. Throws a TersorError that lists the names if there is none. */
export const findSensitivityMeasure = (name: string): SensitivityMeasure =>
  findMethod(sensitivityMeasures, name, 'measure of sensitivity');
