import { compress as compressModel } from './pipeline/compress.js';
import type { JobHooks } from './pipeline/context/hooks.js';
import type { CompressResult } from './pipeline/measure/result.js';
import { withOptionNames } from './pipeline/options/wording.js';
import { type CompressOptions as AnyOptions, checkOptions } from './pipeline/options.js';
import { plan as planModel } from './pipeline/plan.js';
import type { Estimate } from './pipeline/prepare/estimate.js';
import type { Plan } from './pipeline/prepare/plan.js';
import { type FrontPoint, planFront as planModelFront } from './pipeline/search/front.js';
import type { CompressOptions, PlanFrontOptions, PlanOptions } from './pipeline/typed-options.js';

/**
 * Compresses a model into a GGUF file, a stacked file or a folder: calibrates, solves and writes one block at a time,
 * reopens the result in its runtime, and measures what it lost.
 * @throws TersorError for bad input before anything is written, and when what was written does not behave in its
 *   runtime as tersor predicts; the reason of `hooks.signal`, once that has ended the job
 */
export function compress(options: CompressOptions, hooks: JobHooks = {}): Promise<CompressResult> {
  return withOptionNames(() => compressModel(checked(options as AnyOptions), hooks));
}

/**
 * What `compress` would do, to the byte, without doing it. For a size it solves every tensor at every type to find the best
 * choice, and says what the model would lose; of a type for all tensors it says so with `predict`.
 * @throws TersorError and the reason of `hooks.signal`, as `compress` does
 */
export function plan(
  options: PlanOptions,
  hooks: JobHooks = {},
): Promise<Plan & { readonly estimate: Estimate }> {
  return withOptionNames(() => planModel(checked(withOutput(options)), hooks));
}

/**
 * What sizes cost what, over the whole range of types: choices of types that no other beats in both size and divergence,
 * from small to large. Each `bitsPerWeight` can be asked for as `bits`.
 * @throws TersorError and the reason of `hooks.signal`, as `compress` does
 */
export function planFront(options: PlanFrontOptions, hooks: JobHooks = {}): Promise<FrontPoint[]> {
  return withOptionNames(() => planModelFront(checked(withOutput(options)), hooks));
}

const checked = (options: AnyOptions): AnyOptions => {
  checkOptions(options);
  return options;
};

const withOutput = (options: PlanOptions | PlanFrontOptions) =>
  ({ ...options, output: options.output ?? 'model.gguf' }) as AnyOptions;

export { type ErrorCode, type ErrorDetails, TersorError } from './errors.js';
export type { JobHooks } from './pipeline/context/hooks.js';
export type { ProgressEvent, Stage } from './pipeline/context/progress.js';
export { type Evaluation, evaluate, evaluateEncoder } from './pipeline/evaluate.js';
export type { GenerateOptions, GenerateResult } from './pipeline/generate/options.js';
export { generate } from './pipeline/generate.js';
export { type ImatrixOptions, type ImatrixResult, imatrix } from './pipeline/imatrix.js';
export { type Inspection, type InspectOptions, inspect } from './pipeline/inspect.js';
export type { EncoderEvaluation } from './pipeline/measure/encoder.js';
export type { CompressResult, Verification } from './pipeline/measure/result.js';
export type { MethodOption } from './pipeline/methods.js';
export {
  type FamilyDocument,
  type MethodDocument,
  type Methods,
  methods,
} from './pipeline/methods.js';
export type { EvaluateOptions } from './pipeline/options.js';
export type { Estimate } from './pipeline/prepare/estimate.js';
export { type Plan, type PlannedTensor, recipeFile } from './pipeline/prepare/plan.js';
export { type RecipeFile, readRecipe } from './pipeline/prepare/recipe.js';
export type { ReportOptions } from './pipeline/report/options.js';
export { report } from './pipeline/report.js';
export type { FrontPoint } from './pipeline/search/front.js';
export type {
  CompressOptions,
  CompressSettings,
  OutputFormatName,
  PatternedTypeName,
  PlanFrontOptions,
  PlanOptions,
  PlanSettings,
  SearchChoice,
  SearchName,
  SearchOptions,
  SensitivityName,
  SolverChoice,
  SolverName,
  SolverOptions,
  TypeName,
} from './pipeline/typed-options.js';
export type { Findings } from './report/findings.js';
export type { Divergence, EmbeddingSummary, Summary } from './types.js';
export { packageVersion as version } from './version.js';
