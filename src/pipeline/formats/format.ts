import type { Architecture, ExtraTensor, TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import type { Grid } from '../../grid/grid.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { TensorWriter } from '../../writer/tensor-writer.js';
import type { CompressOptions } from '../options.js';
import type { CalibrationText } from '../prepare/calibration-text.js';
import type { Assignment } from '../prepare/plan.js';
import type { Recipe } from '../prepare/recipe.js';
import type { FormatName } from './names.js';

/** Everything that goes into an output besides the weights' bytes. */
export interface Contents {
  readonly name: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  readonly assignments: readonly Assignment[];
  readonly recipe: Recipe;
  readonly calibration: CalibrationText;
}

/** An output whose every byte is accounted for. */
export interface Layout {
  /** Size of the file with the weights. */
  readonly bytes: number;
  create(output: string): Promise<TensorWriter>;
}

/** What differs between the kinds of output. */
export interface OutputFormat {
  readonly name: FormatName;
  /** Whose types it can hold. */
  readonly runtime: 'llama.cpp' | 'onnxruntime' | 'vllm' | 'tersor';
  /** Its types, for messages. */
  readonly types: string;
  /** Types for rows that the usual ones do not fit, for messages. */
  readonly fallbacks: string;
  /** What it means by a type's name, where that is not what the name means elsewhere. */
  findGrid?(type: string): Grid | undefined;
  /** Tensors' data are padded to multiples of so many bytes. */
  readonly alignment: number;
  /** What a search may choose from, unless the caller says. */
  readonly candidates: readonly string[];
  /** @throws TersorError when the output cannot be written, or not be checked, before any work */
  check(output: string): Promise<void>;
  /** A tensor's name in the output. */
  nameOf(model: Model, spec: TensorSpec): string;
  /** Packed rows in the order of the output. */
  arrange(rows: Uint8Array, spec: TensorSpec): Uint8Array;
  layout(contents: Contents, options: CompressOptions): Layout;
  /** What a person should know of a plan before it is carried out. */
  remarks?(assignments: readonly Assignment[]): readonly string[];
  /** Tensors in f32 that this format stores beside the model's own. */
  extras(architecture: Architecture): readonly ExtraTensor[];
}
