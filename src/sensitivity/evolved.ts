import { type Expression, evaluate } from './expression.js';
import type { SensitivityMeasure } from './measure.js';
import { proxyColumns } from './proxy-columns.js';

const product = (left: Expression, right: Expression): Expression => ({ binary: '*', left, right });

/**
 * √(ε · ‖Δ‖²/‖W‖² · elements · (1 − cos)), with the cosine of what enters and leaves the block: what `evolveProxy`
 * (formulas of seven parts at most) found on 30 measured levels of every other tensor of models/tales, with each of
 * three seeds, as an earlier version solved them; what `node bench/run.mjs sensitivity tales` finds on today's levels
 * differs (docs/results/sensitivity.md, “Measures of sensitivity”). Ranks leave the power open: the divergence of
 * those levels grows as the formula's 0.50th.
 */
export const evolvedFormula: Expression = {
  unary: 'sqrt',
  of: product(
    product({ column: 'error' }, { column: 'weightError' }),
    product({ column: 'elements' }, { column: 'turn' }),
  ),
};

export const evolvedMeasure: SensitivityMeasure = {
  name: 'evolved',
  id: 'S9',
  title: 'A formula over cheap statistics, evolved to order levels as their divergence does',
  paper: 'Dong et al., EMQ, 2023, arXiv:2307.10554',
  status: 'special',
  wins: 'no time for gradients or measurements: correlation at equal size 0.797 on tales, 0.989 on stories15M',
  needs: ['statistics'],
  loss: (tensor) => evaluate(evolvedFormula, proxyColumns(tensor), tensor.levels.length),
};
