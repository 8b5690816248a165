import { recipeFrom } from '../options/recipe.js';
import type { CompressOptions } from '../options.js';
import type { CalibrationText } from './calibration-text.js';
import type { Recipe } from './recipe.js';

const defaults = { solver: 'decoupleq', calibrateOn: 'quantized', match: 'original' } as const;

/** An importance matrix is enough for rounding only. */
export const solverOf = ({ solver, imatrix }: CompressOptions) =>
  solver ?? (imatrix ? 'rtn' : defaults.solver);

/** What a file says of how it was made. */
export function recipeOf(
  options: CompressOptions,
  calibration: Pick<CalibrationText, 'sequences' | 'tokens'>,
  types: Partial<Recipe>,
): Recipe {
  const { calibrateOn = defaults.calibrateOn, match = defaults.match, imatrix } = options;
  return recipeFrom({
    ...options,
    type: types.type,
    embeddingType: types.embedding ?? options.embeddingType,
    solver: solverOf(options),
    calibrateOn,
    match: calibrateOn === 'quantized' && !imatrix ? match : undefined,
    context: calibration.sequences[0]?.length ?? 0,
    tokens: calibration.tokens,
  });
}
