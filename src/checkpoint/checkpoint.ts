/** What a checkpoint says of one tensor without reading it. */
export interface TensorInfo {
  readonly name: string;
  /** Outermost dimension first, as in Hugging Face files; a linear weight is [out, in]. */
  readonly shape: readonly number[];
  /** Lower-case storage type: `f32`, `bf16`, `i64`, `q4_k`… */
  readonly type: string;
  /** Bytes that it takes in its file. */
  readonly bytes: number;
}

/** A stacked file, of which the first part may be all there is. */
export interface StackSummary {
  /** Of the whole file. */
  readonly bytes: number;
  /** Preamble and header, the least that can be opened. */
  readonly headerBytes: number;
  /** From here on every tensor is there, if only coarsely. */
  readonly completeBytes: number;
  readonly slices: number;
  /** Slices that lie within what there is. */
  readonly present: number;
}

/** A tensor read into memory, decoded to f32. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/**
 * Where weights come from. Opening reads headers only; `read` fetches one tensor by range, so that memory
 * holds what is being worked on and never the file.
 */
export interface Checkpoint {
  /** The file or folder, as shown to people. */
  readonly path: string;
  readonly format: 'safetensors' | 'llama2c' | 'gguf' | 'onnx' | 'stack';
  /**
   * Whose names and row order the tensors have. llama2.c files are presented under Hugging Face's names in
   * Hugging Face's order; GGUF files as they are (architecture/ knows how to translate).
   */
  readonly naming: 'huggingface' | 'gguf';
  /** Whether vectors hold what a runtime computes with where Hugging Face's files do not, such as 1 + w for w (ONNX, stacks). */
  readonly runtimeValues?: true;
  /** Whether experts that have tensors of their own here lie in one tensor for all of them in the file. */
  readonly joinsExperts?: true;
  /** config.json's contents (llama2.c: an equivalent made from the header), or all key-value pairs of a GGUF. */
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Folder in which tokenizer files may lie. */
  readonly folder: string;
  /** Files of the tokenizer that lie in the model's own file, by name. */
  readonly companions?: ReadonlyMap<string, Uint8Array>;
  /** Only stacked files have it. */
  readonly stack?: StackSummary;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Bytes of all weight files together. */
  readonly bytes: number;
  /**
   * Reads one tensor, decoded to f32.
   * @throws TersorError when the name is unknown, the file is shorter than its header says, or a value is NaN or infinite
   */
  read(name: string): Promise<Tensor>;
  /**
   * Reads rows [from, to) along the outermost dimension, as `read` does: embeddings can be too large to hold.
   * @throws TersorError as `read` does; RangeError when there are no such rows
   */
  readRows(name: string, from: number, to: number): Promise<Tensor>;
  /** Hash of configuration and weights, which reads every byte. */
  fingerprint(): Promise<string>;
  close(): Promise<void>;
}
