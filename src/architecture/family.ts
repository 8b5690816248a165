import type { Checkpoint } from '../checkpoint/checkpoint.js';
import type { Architecture, TensorSpec } from './architecture.js';

/** Tells whether a checkpoint holds a tensor. */
export type Has = (spec: TensorSpec) => boolean;

/** A row of the table of model families: how each format's configuration becomes an architecture. */
export interface Family {
  /** Values of `model_type` in config.json. */
  readonly modelTypes: readonly string[];
  /** Values of `general.architecture` in a GGUF; none where such files are not read. */
  readonly ggufNames: readonly string[];
  /** Whether the embedding is the output head where config.json does not say. */
  readonly tiedByDefault?: boolean;
  /** @throws TersorError for a configuration that is incomplete, or asks for what is not supported */
  fromHuggingFace(checkpoint: Checkpoint, has: Has): Architecture | Promise<Architecture>;
  /** The same of a GGUF's metadata. */
  fromGguf?(checkpoint: Checkpoint, has: Has): Architecture | Promise<Architecture>;
}

/** Rows of the embedding of a GGUF, whose metadata need not give the size of its vocabulary. */
export const ggufVocabulary = ({ tensors }: Checkpoint): number =>
  tensors.get('token_embd.weight')?.shape[0] ?? 0;
