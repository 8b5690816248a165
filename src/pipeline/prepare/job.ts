import type { Model } from '../../architecture/model.js';
import { TersorError } from '../../errors.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { Layout, OutputFormat } from '../formats/format.js';
import type { Importance } from '../imatrix.js';
import type { CompressOptions } from '../options.js';
import type { CalibrationText } from './calibration-text.js';
import type { Assignment, Plan } from './plan.js';
import type { Recipe } from './recipe.js';

/** What a job is made from, before any decision on types. */
export interface Materials {
  /** Those that were given, with what an effort decides on. */
  readonly options: CompressOptions;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly format: OutputFormat;
  readonly calibration: CalibrationText;
  /** What layers are rounded under in the place of second moments. */
  readonly importance?: Importance;
}

/** A job with every decision taken. */
export interface Job extends Materials {
  readonly plan: Plan;
  readonly assignments: readonly Assignment[];
  readonly layout: Layout;
  readonly recipe: Recipe;
}

/** @throws TersorError when tensors do not fit their type and no fallback was given */
export function refuseProblems({ plan: { problems, model }, format }: Job): void {
  const [first] = problems;
  if (!first) return;
  throw new TersorError(
    `${first.reason}${problems.length > 1 ? `, and so it is with ${problems.length - 1} more tensors` : ''}`,
    {
      code: 'invalid-option',
      file: model,
      tensor: first.name,
      remedy: `give --fallback TYPE for them (such as ${format.fallbacks}), or see --dry-run for the list`,
    },
  );
}
