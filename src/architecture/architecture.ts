import type { Pooling } from '../checkpoint/pooling.js';
import { elements } from '../graph/ops.js';
import type { Value } from '../graph/value.js';
import type { ExportGraph } from './export.js';

export type TensorKind = 'linear' | 'embedding' | 'head' | 'norm' | 'bias' | 'position' | 'router';

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
  /** Which of the experts it belongs to; GGUF keeps the weights of all of them one after another in one tensor. */
  readonly expert?: { readonly index: number; readonly count: number; readonly gguf: string };
  /** Whether it belongs to an expert that every token passes through. */
  readonly sharedExpert?: true;
  /**
   * Queries, keys and values in one weight: Hugging Face has them head by head, of so many heads, and GGUF each of the three
   * for all heads.
   */
  readonly fusedHeads?: number;
  /** Hugging Face keeps GPT-2's linear weights as [in, out]. */
  readonly transposed?: boolean;
  /** What Hugging Face's files hold of a vector where that is not what programs and other formats use. */
  readonly stored?: StoredValues;
}

/** Programs use (w + offset) · factor of a stored w: norms of Gemma, for instance, are kept as their difference from 1. */
export interface StoredValues {
  readonly offset: number;
  readonly factor: number;
}

/** Sequences of equal length, processed together. */
export interface Batch {
  readonly sequences: number;
  readonly length: number;
}

/** What a model is for: to predict next tokens, or to turn a text into one vector. */
export type Objective = 'prediction' | 'embedding';

/** A typed GGUF metadata entry of an architecture. */
export type ArchitectureEntry =
  | { readonly type: 'u32' | 'f32'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'array'; readonly of: 'bool'; readonly value: readonly boolean[] };

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
  /** Names the graph of a block: blocks of one kind have the same tensors and differ in their weights only. */
  kindOf(block: number): string;
  /** The graph of one block. */
  block(index: number, hidden: Value, batch: Batch): Value;
  /** Hidden states → logits, tokens × vocabulary; in an encoder, whose outputs they are, the hidden states themselves. */
  head(hidden: Value): Value;
  /** What llama.cpp cannot compute of this model, where it has the family. */
  readonly ggufObstacle?: string;
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

/** The first block of each kind. */
export function firstOfKinds(architecture: Pick<Architecture, 'layers' | 'kindOf'>): number[] {
  const first = new Map<string, number>();
  for (let block = 0; block < architecture.layers; block++) {
    const kind = architecture.kindOf(block);
    if (!first.has(kind)) first.set(kind, block);
  }
  return [...first.values()];
}

/** Weights of the largest block. */
export const largestBlock = (architecture: Architecture): number =>
  Math.max(
    0,
    ...firstOfKinds(architecture).map((block) =>
      blockTensors(architecture, block).reduce((sum, { shape }) => sum + elements(shape), 0),
    ),
  );

/** Where all blocks have one graph. */
export const alike = (): string => 'block';

/**
 * A tensor as a matrix, whose rows are what formats store one after another: a vector is a single row, and of three
 * dimensions the first two are rows.
 */
export function matrixShape({ shape }: Pick<TensorSpec, 'shape'>): [rows: number, cols: number] {
  const cols = shape.at(-1) ?? 1;
  return [elements(shape.slice(0, -1)), cols];
}
