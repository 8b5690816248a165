import type { Pooling } from '../checkpoint/pooling.js';
import type { Value } from '../graph/value.js';
import type { ExportGraph } from './export.js';

export type TensorKind = 'linear' | 'embedding' | 'head' | 'norm' | 'bias' | 'position';

/** One tensor of a model: what it is, and where each format keeps it. */
export interface TensorSpec {
  /** Name of the program input that takes it, such as `attn_q.weight`; the same in every block. */
  readonly role: string;
  /** Index of its block; undefined outside the blocks. */
  readonly block?: number;
  readonly kind: TensorKind;
  /** As programs want it: outermost dimension first, linear weights [out, in]. */
  readonly shape: readonly number[];
  readonly names: { readonly huggingface: string; readonly gguf: string };
  /**
   * GGUF's llama architecture rotates neighbouring pairs where Hugging Face rotates halves, so the rows of
   * these weights are permuted inside each head of this many rows.
   */
  readonly interleavedHead?: number;
  /** Hugging Face keeps GPT-2's linear weights as [in, out]. */
  readonly transposed?: boolean;
}

/** Sequences of equal length, processed together. */
export interface Batch {
  readonly sequences: number;
  readonly length: number;
}

/** What a model is for: to predict next tokens, or to turn a text into one vector. */
export type Objective = 'prediction' | 'embedding';

/** A typed GGUF metadata entry of an architecture. */
export interface ArchitectureEntry {
  readonly type: 'u32' | 'f32';
  readonly value: number;
}

/**
 * A family's description of one model: graph pieces that share their weight names with `tensors`. Hidden
 * states are tokens × hidden, sequences one after another.
 */
export interface Architecture {
  /** Hugging Face's `model_type`. */
  readonly modelType: string;
  /** llama.cpp's name of the architecture. */
  readonly gguf: string;
  readonly objective: Objective;
  /** How an encoder's outputs become one vector. */
  readonly pooling?: Pooling;
  readonly layers: number;
  readonly hidden: number;
  readonly vocabulary: number;
  /** Longest sequence the model was trained for. */
  readonly context: number;
  /** The output head is the embedding. */
  readonly tied: boolean;
  readonly tensors: readonly TensorSpec[];
  /** tokens (i64, one per position) → hidden states. */
  embed(tokens: Value, batch: Batch): Value;
  /** One block; all blocks have the same graph and differ in their weights. */
  block(hidden: Value, batch: Batch): Value;
  /** Hidden states → logits, tokens × vocabulary; in an encoder, whose outputs they are, the hidden states themselves. */
  head(hidden: Value): Value;
  /** Entries below `<gguf>.` that llama.cpp reads. */
  ggufMetadata(): Readonly<Record<string, ArchitectureEntry>>;
  /** Builds the graph that transformers.js runs; families without one cannot be written as ONNX. */
  exportGraph?(graph: ExportGraph): void;
  /** f32 tensors that GGUF stores and Hugging Face computes, such as rotary frequency factors. */
  ggufExtras(): readonly ExtraTensor[];
}

/** A tensor that a format stores and no checkpoint holds. */
export interface ExtraTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** The specs of one block, or of the tensors outside all blocks. */
export const blockTensors = (architecture: Architecture, block: number | undefined): TensorSpec[] =>
  architecture.tensors.filter((spec) => spec.block === block);

/** A tensor as a matrix, whose rows are what formats store one after another: a vector is a single row. */
export function matrixShape({ shape }: Pick<TensorSpec, 'shape'>): [rows: number, cols: number] {
  const [first = 1, second] = shape;
  return second === undefined ? [1, first] : [first, second];
}
