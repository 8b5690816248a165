import { compress as compressModel } from './pipeline/compress.js';
import type { JobHooks } from './pipeline/context/hooks.js';
import {
  type Evaluation,
  evaluateEncoder as evaluateEmbeddings,
  evaluate as evaluateModel,
} from './pipeline/evaluate.js';
import type { GenerateResult } from './pipeline/generate/options.js';
import { generate as generateText } from './pipeline/generate.js';
import { type ImatrixOptions, type ImatrixResult, imatrix as imatrixOf } from './pipeline/imatrix.js';
import { type Inspection, type InspectOptions, inspect as inspectModel } from './pipeline/inspect.js';
import type { EncoderEvaluation } from './pipeline/measure/encoder.js';
import type { CompressResult } from './pipeline/measure/result.js';
import { checkHooks, checkJob } from './pipeline/options/jobs.js';
import { withOptionNames, withOptionNamesIn } from './pipeline/options/wording.js';
import { type CompressOptions as AnyOptions, checkOptions } from './pipeline/options.js';
import { plan as planModel } from './pipeline/plan.js';
import type { Estimate } from './pipeline/prepare/estimate.js';
import type { Plan } from './pipeline/prepare/plan.js';
import type { ReportOptions } from './pipeline/report/options.js';
import { report as reportOn } from './pipeline/report.js';
import { type FrontPoint, planFront as planModelFront } from './pipeline/search/front.js';
import type {
  CompressOptions,
  EvaluateOptions,
  GenerateOptions,
  PlanFrontOptions,
  PlanOptions,
} from './pipeline/typed-options.js';
import type { Findings } from './report/findings.js';

/**
 * Compresses a model into a GGUF file, a stacked file or a folder: calibrates, solves and writes one block at a time,
 * reopens the result in its runtime, and measures what it lost.
 * @throws TersorError for bad input before anything is written, and when what was written does not behave in its
 *   runtime as tersor predicts; the reason of `hooks.signal`, once that has ended the job
 */
export function compress(options: CompressOptions, hooks: JobHooks = {}): Promise<CompressResult> {
  return withOptionNames(() => compressModel(checked(options as AnyOptions, hooks), hooks));
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
  return withOptionNames(() => planModel(checked(withOutput(options), hooks), hooks));
}

/**
 * What sizes cost what, over the whole range of types: choices of types that no other beats in both size and divergence,
 * from small to large. Each `bitsPerWeight` can be asked for as `bits`.
 * @throws TersorError and the reason of `hooks.signal`, as `compress` does
 */
export function planFront(options: PlanFrontOptions, hooks: JobHooks = {}): Promise<FrontPoint[]> {
  return withOptionNames(() => planModelFront(checked(withOutput(options), hooks), hooks));
}

/**
 * Perplexity of a model on a text and, with `against`, its divergence from the original.
 * @throws TersorError for an encoder, which predicts no tokens
 */
export function evaluate(options: EvaluateOptions, hooks: JobHooks = {}): Promise<Evaluation> {
  return withOptionNames(async () => evaluateModel(checkJob('evaluate', options, hooks), hooks));
}

/**
 * How near an encoder's embeddings of a text's sentences are to those of `against`, the original.
 * @throws TersorError for a language model
 */
export function evaluateEncoder(
  options: EvaluateOptions & { readonly against: string },
  hooks: JobHooks = {},
): Promise<EncoderEvaluation> {
  return withOptionNames(async () => evaluateEmbeddings(checkJob('evaluateEncoder', options, hooks), hooks));
}

/** What is inside a model, from its headers alone; a model on the hub is downloaded first. */
export function inspect(options: InspectOptions, hooks: JobHooks = {}): Promise<Inspection> {
  return withOptionNames(async () => inspectModel(checkJob('inspect', options, hooks), hooks));
}

/**
 * Writes llama.cpp's importance matrix of a model: per linear layer of the blocks and input column Σ x² over a text, in
 * the original model, block after block.
 * @throws TersorError for bad input before anything is written
 */
export function imatrix(options: ImatrixOptions, hooks: JobHooks = {}): Promise<ImatrixResult> {
  return withOptionNames(async () => imatrixOf(checkJob('imatrix', options, hooks), hooks));
}

/**
 * Looks at a compressed model from all sides and writes what it finds as one HTML file, if there is an `output`.
 * Everything is measured on the model itself, whoever made it.
 * @throws TersorError for models that do not belong together, before anything is written
 */
export function report(options: ReportOptions, hooks: JobHooks = {}): Promise<Findings> {
  return withOptionNames(async () => reportOn(checkJob('report', options, hooks), hooks));
}

/**
 * Continues a prompt, in llama.cpp with a GGUF file, otherwise in onnxruntime:
 *
 *     for await (const piece of generate({ model, prompt })) process.stdout.write(piece);
 *
 * Nothing is computed before it is asked for; whoever leaves the loop early ends the work.
 * @returns the new text in pieces, which are whole characters; when all are out, how many tokens they were and how long
 *   they took
 * @throws TersorError when the prompt is empty or does not fit into the context; the reason of `hooks.signal`, once that
 *   has ended the work
 */
export async function* generate(
  options: GenerateOptions,
  hooks: Pick<JobHooks, 'signal' | 'warn'> = {},
): AsyncGenerator<string, GenerateResult, void> {
  try {
    return yield* generateText(checkJob('generate', options, hooks), hooks);
  } catch (error) {
    throw withOptionNamesIn(error);
  }
}

function checked(options: AnyOptions, hooks: JobHooks): AnyOptions {
  checkHooks(hooks);
  return checkOptions(options);
}

const withOutput = (options: PlanOptions | PlanFrontOptions) =>
  ({ ...options, output: options.output ?? 'model.gguf' }) as AnyOptions;

export { type ErrorCode, type ErrorDetails, TersorError } from './errors.js';
export type { JobHooks } from './pipeline/context/hooks.js';
export type { ProgressEvent, Stage } from './pipeline/context/progress.js';
export type { Evaluation } from './pipeline/evaluate.js';
export type { GenerateResult } from './pipeline/generate/options.js';
export type { ImatrixOptions, ImatrixResult } from './pipeline/imatrix.js';
export type { Inspection, InspectOptions } from './pipeline/inspect.js';
export type { EncoderEvaluation } from './pipeline/measure/encoder.js';
export type { CompressResult, Verification } from './pipeline/measure/result.js';
export type { MethodOption } from './pipeline/methods.js';
export {
  type FamilyDocument,
  type MethodDocument,
  type Methods,
  methods,
} from './pipeline/methods.js';
export type { Estimate } from './pipeline/prepare/estimate.js';
export { type Plan, type PlannedTensor, recipeFile } from './pipeline/prepare/plan.js';
export { type RecipeFile, readRecipe } from './pipeline/prepare/recipe.js';
export type { ReportOptions } from './pipeline/report/options.js';
export type { FrontPoint } from './pipeline/search/front.js';
export type {
  ByteSize,
  CompressOptions,
  CompressSettings,
  EvaluateOptions,
  GenerateOptions,
  MixtureName,
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
