export { TersorError } from './errors.js';
export { type CompressResult, compress, plan } from './pipeline/compress.js';
export { type EvaluateOptions, type Evaluation, evaluate } from './pipeline/evaluate.js';
export type { Hooks } from './pipeline/hooks.js';
export { type ImatrixOptions, type ImatrixResult, imatrix } from './pipeline/imatrix.js';
export { type Inspection, type InspectOptions, inspect } from './pipeline/inspect.js';
export type { CompressOptions, Override } from './pipeline/options.js';
export type { Plan, PlannedTensor } from './pipeline/plan.js';
export type { Progress } from './types.js';
