import type { Architecture, ExtraTensor, TensorSpec } from '../../architecture/architecture.js';
import type { Model } from '../../architecture/model.js';
import type { Checkpoint } from '../../checkpoint/checkpoint.js';
import type { Grid } from '../../grid/grid.js';
import type { Tokenizer } from '../../text/tokenizer.js';
import type { TensorWriter } from '../../writer/tensor-writer.js';
import type { Context } from '../context/context.js';
import type { Hooks } from '../context/hooks.js';
import type { Step } from '../context/progress.js';
import type { CompressResult } from '../measure/result.js';
import type { CompressOptions } from '../options.js';
import type { CalibrationText } from '../prepare/calibration-text.js';
import type { Assignment } from '../prepare/plan.js';
import type { Recipe } from '../prepare/recipe.js';
import type { FormatName } from './names.js';
import type { Runtime } from './runtime.js';

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

/** What all kinds of output have. */
interface Format {
  readonly name: FormatName;
  /** Of its files, where it writes one; by it a format is known without being named. */
  readonly extension?: string;
  /** @throws TersorError when the output cannot be written, or not be checked, before any work */
  check(output: string): Promise<void>;
}

/** A format whose tensors are given types, which are then solved one block at a time. */
export interface OutputFormat extends Format {
  /** Its types, for messages. */
  readonly types: string;
  /** Types for rows that the usual ones do not fit, for messages. */
  readonly fallbacks: string;
  /** What a search may choose from, unless the caller says. */
  readonly candidates: readonly string[];
  /** What runs it, if that is at hand; without one only tersor reads it back. */
  readonly runtime?: Runtime;
  /** What it means by a type's name, where that is not what the name means elsewhere. */
  findGrid?(type: string): Grid | undefined;
  /** Whether it can store tensors on a grid. */
  holds(grid: Grid): boolean;
  /** Of linear layers, about 4.5 bits per weight. @param fits whether a type's blocks divide every row of theirs */
  defaultType(fits: (type: string) => boolean): string;
  /** Of embedding and head beside coded linear layers: as good as lossless. @param fits the same for these two */
  defaultEmbeddingType(fits: (type: string) => boolean): string;
  /** Tensors' data are padded to multiples of so many bytes. */
  readonly alignment: number;
  /** @throws TersorError for a model that it cannot hold */
  checkModel?(model: Model): void;
  /** A tensor's name in the output. */
  nameOf(model: Model, spec: TensorSpec): string;
  /** Whether all experts of a layer are one tensor, and so have one type. */
  readonly joinsExperts?: true;
  /** Whether vectors are stored as Hugging Face's files have them, and not as a runtime computes with them. */
  readonly storedValues?: true;
  /** Packed rows in the order of the output. */
  arrange(rows: Uint8Array, spec: TensorSpec): Uint8Array;
  layout(contents: Contents, options: CompressOptions): Layout;
  /** Opens what was written, which may not have its name yet. */
  open(path: string, context: Context): Promise<Checkpoint>;
  /** What a person should know of a plan before it is carried out. */
  remarks?(assignments: readonly Assignment[]): readonly string[];
  /** Tensors in f32 that this format stores beside the model's own. */
  extras(architecture: Architecture): readonly ExtraTensor[];
}

/** A format that decides on its contents itself. */
export interface ComposedFormat extends Format {
  /** What a job does, for its progress. */
  readonly steps: readonly Step[];
  compress(context: Context, options: CompressOptions, hooks: Hooks): Promise<Composed>;
  /** Why it cannot be planned, and what to do. */
  readonly unplanned: { readonly problem: string; readonly remedy: string };
}

/** What came of a compression, besides what is the same for all. */
export type Composed = Omit<CompressResult, 'output' | 'seconds' | 'stages' | 'peakMemoryBytes'>;
